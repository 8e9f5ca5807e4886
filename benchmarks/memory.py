"""Memory of a run over a million tiles that keeps patch tokens.

``python benchmarks/memory.py [--side N] [--folder DIR]`` embeds N x N tiles (1,000 by
default) of a drawn slide and prints the process's peak and what it was before the
first tile. Two gigabytes of disk and a quarter of an hour.

What grows with the number of tiles (grid, order, marks) is there in full; tiles are
small (28 px, four patches, 192 numbers each), since a tile's size only counts for the
few batches in flight: ``--px 224`` with a small N shows those.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile

from napari_pathfm import Features, embed_slide, open_slide, tile_grid
from napari_pathfm.encoders import encoder_spec

PATCH = 14


class Means:
    """What `embed_slide` asks of an encoder; each patch's mean colour, repeated."""

    def __init__(self, px: int) -> None:
        self.spec = replace(encoder_spec("bundled"), tile_px=px)
        self.revision, self.pooling = "benchmark:means", "cls"
        self.feature_dim = self.spec.dim

    def encode(self, tiles: np.ndarray, *, patches: bool = True) -> Features:
        """Encode uint8 ``(N, px, px, 3)``."""
        n, side = len(tiles), tiles.shape[1] // PATCH
        cut = tiles.reshape(n, side, PATCH, side, PATCH, 3).mean((2, 4)) / 255
        tokens = np.tile(cut.astype(np.float32), self.feature_dim // 3)
        feature = tokens.mean((1, 2))
        return Features(feature, tokens, feature)


def write_slide(path: Path, px: int) -> None:
    """Write a square slide of noise, one tile again and again."""
    noise = np.random.default_rng(0).integers(90, 200, (256, 256, 3), np.uint8)
    data = imagecodecs.jpeg8_encode(noise, level=60, subsampling="420")
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for step in (1, 16):
            side = -(-px // step)
            tif.write(
                (data for _ in range((-(-side // 256)) ** 2)),
                shape=(side, side, 3),
                dtype=np.uint8,
                tile=(256, 256),
                photometric="ycbcr",
                subsampling=(2, 2),
                compression="jpeg",
                subfiletype=int(step > 1),
                metadata=None,
            )


def peak() -> float:
    """MiB, of this process so far."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024**2 if sys.platform == "darwin" else 1024)


def main() -> None:
    """Embed, and say what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1000)
    parser.add_argument("--px", type=int, default=28)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder) / "huge.tif"
        write_slide(path, options.side * options.px)
        encoder = Means(options.px)
        with open_slide(path, mpp=0.5) as slide:
            grid = tile_grid(slide, px=options.px, mpp=0.5, tissue=False)
            before, began = peak(), time.monotonic()
            store = embed_slide(
                slide, encoder, Path(folder) / "s.zarr", grid=grid, patches=True
            )
            seconds = time.monotonic() - began
        assert store.complete
        print(
            f"{len(grid):,} tiles of {options.px} px with patches: peak {peak():,.0f} "
            f"MiB, {before:,.0f} MiB before the run; {seconds:,.0f} s"
        )


if __name__ == "__main__":
    main()
