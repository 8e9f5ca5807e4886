"""The figures of the bundled models' cards.

``python benchmarks/bundled_models.py DATA [PICTURES]``; DATA is a folder with
``slides`` and ``tiles`` as `training._bundled_data` expects. The
encoder stands beside its teacher and beside an untrained twin in one run.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

from napari_pathfm import load_encoder, load_generator, open_slide, tile_grid, vary
from napari_pathfm.encoders import ENCODERS, Encoder
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.generators._autoencoder import Autoencoder, to_signed
from napari_pathfm.training._bundled_data import HELD_OUT_CASE, held_out_sources
from napari_pathfm.training._distillation import teacher_answers
from napari_pathfm.training._fields import Crops
from napari_pathfm.weights import bundled_path

PLACES = 24


def nearest_neighbour(features, labels, groups=None) -> float:
    """Leave-one-out accuracy of the nearest neighbour by cosine, centred.

    With groups, neighbours of the same group (case) do not count.
    """
    unit = features - features.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -2)
    if groups is not None:
        cosine[groups[:, None] == groups[None, :]] = -2
    return float((labels[cosine.argmax(1)] == labels).mean())


def case_of(name: str) -> str:
    """Case of an osteosarcoma field: ``Case-3``, ``Case-4``, ``Case-48``, ``P9``."""
    rest = name.split("___")[1]
    return "-".join(rest.split("-")[:2]) if rest.startswith("Case") else "P9"


def encoder_figures(data: Path) -> None:
    """1-NN on osteosarcoma fields: mean of a 4 x 4 grid of 224 px tiles each."""
    files = sorted((data / "tiles" / "osteosarcoma").glob("*.jpg"))
    labels = np.array([f.name.split("___")[0] for f in files])
    cases = np.array([case_of(f.name) for f in files])
    corners = np.linspace(0, 1024 - 224, 4).astype(int)
    tiles = []
    for file in files:
        field = np.asarray(Image.open(file).convert("RGB"))
        tiles += [field[y : y + 224, x : x + 224] for y in corners for x in corners]
    tiles = np.stack(tiles)

    def per_field(cls):
        return cls.reshape(len(files), 16, -1).mean(1)

    encoder = load_encoder(device="cpu")
    trained = per_field(encoder.encode(tiles).cls)
    torch.manual_seed(0)
    network = build_vit(ENCODERS["bundled"])
    random = Encoder(ENCODERS["bundled"], network, "random", encoder.device)
    untrained = per_field(random.encode(tiles).cls)
    teacher = per_field(teacher_answers(torch.from_numpy(tiles))[0].numpy())
    held = cases == "Case-48"
    print(f"held-out case {HELD_OUT_CASE}: {held.sum()} of {len(files)} fields")
    for name, features in (
        ("bundled", trained),
        ("teacher", teacher),
        ("untrained twin", untrained),
    ):
        all_fields = nearest_neighbour(features, labels)
        across = nearest_neighbour(features, labels, cases)
        print(f"1-NN {name}: {all_fields:.3f} leave-one-out, {across:.3f} across cases")


def autoencoder_figures(data: Path) -> None:
    """PSNR on whole held-out tiles."""
    network = Autoencoder().eval()
    network.load_state_dict(load_file(bundled_path("autoencoder.safetensors")))
    for source in held_out_sources(data):
        tiles = Crops([source], 224).draw(np.random.default_rng(3), 64)
        real = to_signed(torch.from_numpy(tiles))
        with torch.inference_mode():
            again = network.decode(network.encode(real)).clamp(-1, 1)
        error = (again - real).square().mean((1, 2, 3))
        psnr = float((10 * torch.log10(4 / error)).mean())
        print(f"autoencoder, held-out {source.name}: {psnr:.1f} dB over 64 tiles")


def generator_figures(data: Path, sheet: Path | None) -> None:
    """How often a variant is nearer to its own tile than to the slide's others."""
    encoder, generator = load_encoder(device="cpu"), load_generator(device="cpu")
    for path, mpp in (
        (data / "slides" / "CMU-1-Small-Region.svs", None),
        (data / "slides" / "TCGA-CR-7395-01A-01-TS1.svs", 0.5),
    ):
        with open_slide(path, mpp=mpp) as slide:
            grid = tile_grid(slide)
            tiles = np.concatenate([pixels for _, pixels in slide.tiles(grid)])
            others = encoder.encode(tiles).cls
            others /= np.linalg.norm(others, axis=1, keepdims=True)
            rng = np.random.default_rng(0)
            rows = np.sort(rng.choice(len(grid), PLACES, replace=False))
            wins, cosines, pairs = [], [], []
            for row in rows:
                x, y = grid.coords[row] + grid.tile_size / 2
                made = vary(slide, [(float(x), float(y))], generator, encoder, n=1)
                cls = encoder.encode(made.images[0].pixels[None]).cls[0]
                cls /= np.linalg.norm(cls)
                far = np.abs(grid.coords - grid.coords[row]).max(1) > grid.tile_size
                wins.append(float((others[far] @ cls < others[row] @ cls).mean()))
                cosines.append(float(others[row] @ cls))
                pairs.append(np.concatenate([made.source, made.images[0].pixels]))
            print(
                f"generator on {path.stem}: own tile beats {np.mean(wins):.1%} of the "
                f"others, {np.mean(np.array(wins) >= 0.95):.0%} of {PLACES} places "
                f"beat 95 %, mean cosine {np.mean(cosines):.2f}"
            )
            if sheet is not None:
                sheet.mkdir(parents=True, exist_ok=True)
                rows_of = [np.concatenate(pairs[i : i + 8], 1) for i in (0, 8)]
                picture = Image.fromarray(np.concatenate(rows_of))
                size = (picture.width // 2, picture.height // 2)
                picture = picture.resize(size, Image.Resampling.LANCZOS)
                picture.save(sheet / f"samples-{path.stem}.png")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    encoder_figures(folder)
    autoencoder_figures(folder)
    generator_figures(folder, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
