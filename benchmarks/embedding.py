"""The embedding run against its own parts and a plain loop, as ratios in one run.

``python benchmarks/embedding.py SLIDE [--mpp M]`` prints a Markdown table. The peer
is what TRIDENT-like pipelines do: OpenSlide ``read_region``, PIL, a
normalisation per tile on the CPU, fp32 batches of 32.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from napari_pathfm import embed_slide, load_encoder, open_slide, tile_grid

ROUNDS = 3


def seconds(work) -> float:
    """Time one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def plain_loop(slide, encoder, grid) -> np.ndarray:
    """Read, convert, normalise and encode, one after the other."""
    import openslide

    handle = openslide.OpenSlide(str(slide.path))
    mean = torch.tensor(encoder.spec.mean).view(3, 1, 1)
    std = torch.tensor(encoder.spec.std).view(3, 1, 1)
    side, features, batch = round(grid.tile_size), [], []
    for i, (x, y) in enumerate(grid.coords.tolist()):
        tile = handle.read_region((x, y), 0, (side, side)).convert("RGB")
        array = np.asarray(tile.resize((grid.px, grid.px)) if side != grid.px else tile)
        tensor = torch.from_numpy(array.copy()).permute(2, 0, 1).float() / 255
        batch.append((tensor - mean) / std)
        if len(batch) == 32 or i + 1 == len(grid):
            with torch.inference_mode():
                features.append(encoder._network(torch.stack(batch))[:, 0].numpy())
            batch = []
    return np.concatenate(features)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float)
    options = parser.parse_args()
    encoder = load_encoder(device="cpu")
    with open_slide(options.slide, mpp=options.mpp) as slide:
        grid = tile_grid(slide, stride=112)
        tiles = np.concatenate([pixels for _, pixels in slide.tiles(grid)])
        times = {"tile stream": [], "encoder": [], "embed_slide": [], "plain loop": []}
        for _ in range(ROUNDS):
            times["tile stream"].append(seconds(lambda: list(slide.tiles(grid))))
            times["encoder"].append(seconds(lambda: encoder.encode(tiles)))
            times["plain loop"].append(
                seconds(lambda: plain_loop(slide, encoder, grid))
            )
            with tempfile.TemporaryDirectory() as folder:
                store = Path(folder) / "s.zarr"
                times["embed_slide"].append(
                    seconds(lambda: embed_slide(slide, encoder, store, grid=grid))  # noqa: B023
                )
        rate = {k: len(grid) / statistics.median(v) for k, v in times.items()}
        slower = min(rate["tile stream"], rate["encoder"])
        print(f"{options.slide.name}: {len(grid)} tiles, median of {ROUNDS} rounds\n")
        print("| what | tiles/s | over the plain loop |\n|---|---|---|")
        for name, value in rate.items():
            print(f"| {name} | {value:.1f} | {value / rate['plain loop']:.2f} |")
        share = rate["embed_slide"] / slower
        print(f"\n`embed_slide` over the slower of its two parts: {share:.2f}")


if __name__ == "__main__":
    main()
