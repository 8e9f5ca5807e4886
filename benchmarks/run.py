"""The embedding run against its own parts and a TRIDENT-like loop, in one process.

``python benchmarks/run.py SLIDE [--mpp M] [--rounds N] [--loaders N] [--h0-mini]
[--engine E] [--precision P]`` prints a Markdown table; about a minute on two idle cores
with CMU-1-Small-Region.svs, and no network. The loop is what feature extractors do:
OpenSlide ``read_region``, PIL, a torchvision transform a tile, a DataLoader of as many
processes as there are cores, the same network and weights in batches of 32, in single
precision. ``--h0-mini`` takes H0-mini's exact architecture with random weights instead
of the bundled encoder. Rounds are interleaved, so that a busy machine is as busy for
one as for the other; the slide is opened anew for each, so that nothing is decoded yet.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

from napari_pathfm import embed_slide, load_encoder, open_slide, tile_grid
from napari_pathfm.embeddings._run import BATCH


class Tiles(Dataset):
    """A slide's tiles, one by one, as OpenSlide and PIL give them."""

    def __init__(self, slide, encoder, grid) -> None:
        self.path, self.grid, self.handle = slide.path, grid, None
        spec = encoder.spec
        self.transform = v2.Compose(
            [
                v2.Resize((grid.px, grid.px), v2.InterpolationMode.BICUBIC),
                v2.ToImage(),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(spec.mean, spec.std),
            ]
        )

    def __len__(self) -> int:
        return len(self.grid)

    def __getitem__(self, index: int) -> torch.Tensor:
        if self.handle is None:  # one for each process of the loader
            import openslide

            self.handle = openslide.OpenSlide(str(self.path))
        side = round(self.grid.tile_size)
        place = tuple(self.grid.coords[index].tolist())
        return self.transform(
            self.handle.read_region(place, 0, (side, side)).convert("RGB")
        )


def loop(slide, encoder, grid, loaders: int) -> np.ndarray:
    """Encode the tiles as they come from the loader."""
    tiles = DataLoader(Tiles(slide, encoder, grid), batch_size=32, num_workers=loaders)
    with torch.inference_mode():
        return np.concatenate([encoder._network(batch)[:, 0] for batch in tiles])


def folder_of_weights(folder: Path) -> Path:
    """Lay out H0-mini's network with random weights as its repository is."""
    from safetensors.torch import save_file

    from encoders import independent

    save_file(independent().state_dict(), folder / "model.safetensors")
    return folder


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("slide", type=Path)
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--stride", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loaders", type=int, default=os.cpu_count())
    parser.add_argument("--h0-mini", action="store_true")
    parser.add_argument("--engine", default="torch")
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()

    def opened():
        return open_slide(options.slide, mpp=options.mpp)

    with opened() as slide, tempfile.TemporaryDirectory() as folder:
        weights = folder_of_weights(Path(folder)) if options.h0_mini else None
        name = "h0-mini" if options.h0_mini else "bundled"
        load = partial(load_encoder, name, weights=weights, device="cpu")
        encoder = load(precision=options.precision, engine=options.engine)
        exact = load(precision="fp32")
        grid = tile_grid(slide, stride=options.stride)
        batches = [pixels for _, pixels in slide.tiles(grid, batch=BATCH)]
        encoder.encode(batches[0])  # the first call of a network is slower
        stores = iter(Path(folder) / f"{n}.zarr" for n in range(options.rounds))

        def stream_alone():
            with opened() as fresh:
                return sum(len(rows) for rows, _ in fresh.tiles(grid, batch=BATCH))

        def embedded():
            with opened() as fresh:
                return embed_slide(fresh, encoder, next(stores), grid=grid)

        works = {
            "tile stream alone": stream_alone,
            "encoder alone": lambda: [encoder.encode(batch).cls for batch in batches],
            "`embed_slide`, store included": embedded,
            "TRIDENT-like loop": lambda: loop(slide, exact, grid, options.loaders),
        }
        rates: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(options.rounds):
            results = {}
            for name, work in works.items():
                began = time.perf_counter()
                results[name] = work()
                rates[name].append(len(grid) / (time.perf_counter() - began))
                print(f"{name}: {rates[name][-1]:.1f} tiles/s", file=sys.stderr)
        stream, alone, run, peer = rates.values()
        ours = results["`embed_slide`, store included"].features.astype(np.float32)
    theirs = results["TRIDENT-like loop"]
    cosine = (ours * theirs).sum(1) / (
        np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    )
    share = [r / min(s, a) for r, s, a in zip(run, stream, alone, strict=True)]
    over = [r / p for r, p in zip(run, peer, strict=True)]
    print(
        f"{options.slide.name}: {len(grid)} tiles, {options.rounds} rounds, "
        f"{torch.get_num_threads()} threads, a loader of {options.loaders} processes; "
        f"{encoder.spec.title}, {encoder.engine}, {encoder.precision.name}\n"
    )
    print("| what | tiles/s, median | slowest to fastest |\n|---|---|---|")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(f"| {name} | {middle:.1f} | {min(values):.1f} to {max(values):.1f} |")
    for words, values in (
        ("the run over the slower of its two parts", share),
        ("the run over the loop", over),
    ):
        each = ", ".join(f"{value:.2f}" for value in values)
        print(
            f"\n{words}, round by round: {each}; median {statistics.median(values):.2f}"
        )
    print(
        f"\ncosine of each tile's features to the loop's: least {cosine.min():.5f}, "
        f"median {np.median(cosine):.5f}"
    )


if __name__ == "__main__":
    main()
