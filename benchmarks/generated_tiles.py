"""The bundled generator's tiles against real ones of a case that it has not seen.

``python benchmarks/generated_tiles.py DATA OUT [N]``: cuts 224 px tiles from the
osteosarcoma fields below DATA as PNG, 2 N of the held-out case to compare with, N of it
to condition N images (fast preset), and of the other cases, which the generator learned
from; then runs ``napari-pathfm evaluate generation`` on the folders. N is 96 at most,
and by default: about eight minutes of processor time; what is in OUT is used again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.encoders import load_encoder
from napari_pathfm.exports import export_png
from napari_pathfm.generators import load_generator

HELD_OUT_CASE = "Case-48"  # of the shipped configs
PX, GRID = 224, 4


def cut(files: list[Path]) -> list[np.ndarray]:
    corners = np.linspace(0, 1024 - PX, GRID).astype(int)
    fields = [np.asarray(Image.open(file).convert("RGB")) for file in files]
    return [f[y : y + PX, x : x + PX] for f in fields for y in corners for x in corners]


def write(tiles: list[np.ndarray], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, tile in enumerate(tiles):
        Image.fromarray(tile).save(folder / f"{number:04}.png")


def make(data: Path, out: Path, n: int) -> None:
    files = sorted((data / "tiles" / "osteosarcoma").glob("*.jpg"))
    held_out = cut([file for file in files if HELD_OUT_CASE in file.name])
    order = np.random.default_rng(0).permutation(len(held_out))
    write([held_out[i] for i in order[n : 3 * n]], out / "held-out")
    write(cut([f for f in files if HELD_OUT_CASE not in f.name]), out / "train")
    encoder = load_encoder(device="cpu")
    condition = encoder.encode(np.stack([held_out[i] for i in order[:n]])).cls
    images = load_generator(device="cpu").generate(condition, seed=1, preset="fast")
    (out / "generated").mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images):
        export_png(image, out / "generated" / f"{number:04}.png")


if __name__ == "__main__":
    data, out = Path(sys.argv[1]), Path(sys.argv[2])
    if not (out / "generated").is_dir():
        make(data, out, int(sys.argv[3]) if len(sys.argv) > 3 else 96)
    folders = [str(out / "held-out"), str(out / "generated")]
    options = ["--train", str(out / "train"), "--conditioned-by", "bundled"]
    options += ["--mpp", "1.0", "--out", str(out)]
    sys.exit(main(["evaluate", "generation", *folders, *options]))
