"""How many planted copies are found, and how many originals are taken for copies.

``python benchmarks/planted_copies.py DATA [N]``: the gallery is the train split of the
oral mucosa tiles below DATA, the originals its test split: half of them set the
threshold, half count false alarms; N tiles (40) of the gallery are disguised in five
ways. Under three minutes on two quiet cores.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from napari_pathfm.encoders import load_encoder
from napari_pathfm.evaluation._copies import Gallery, plants, threshold
from napari_pathfm.evaluation._tiles import read_tile


def tiles(folder: Path, seed: int = 0) -> list[np.ndarray]:
    files = sorted(folder.rglob("*.jpg"))
    order = np.random.default_rng(seed).permutation(len(files))
    return [read_tile(files[i]) for i in order]


def main(data: Path, n: int = 40) -> None:
    known, originals = (
        tiles(data / "tiles" / "oral_oscc" / part) for part in ("train", "test")
    )
    gallery = Gallery(known, load_encoder(device="cpu"))
    seen = [gallery.closeness(each) for each in (originals[::2], originals[1::2])]
    limit = threshold(seen[0])
    print(f"thresholds: cosine {limit.embedding:.4f}, correlation {limit.pixels:.4f}")
    print(
        f"false alarms: {limit.flags(seen[1]).sum()} of {len(originals[1::2])} "
        f"(gallery of {len(known)})"
    )
    found = 0
    for way, disguised in plants(known[:n]).items():
        flags = limit.flags(gallery.closeness(disguised))
        found += flags.sum()
        print(f"found, {way}: {flags.sum()} of {n}")
    print(f"found, all ways: {found / (5 * n):.3f}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
