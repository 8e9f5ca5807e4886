"""How much made tissue shows where it ends: repairs, tiles of twins, virtual slides.

``python benchmarks/seams.py SLIDE [--mpp M] [--only repairs|twins|extensions|virtual]
[--side 2048]``.

Repairs of places with tissue, each an octagon of 70 px, with the fast preset. The seam
is the mean difference of neighbours across the mask's edge over that of neighbours near
it: 1 means that no edge shows. For comparison the same edge in the real tissue, and
with made pixels put as they are.

Twins of a region, fused and not: the mean difference of neighbours across tiles'
borders over that elsewhere: everywhere, and at other edges of the 8 px cells that
latents and the JPEG blocks of a slide at 0.5 um have alike. Euler with six steps and no
guidance, so that two cores are done in minutes; what is measured is where tiles meet,
not how good they are. Fused tiles end in other places than tiles made alone, so the
real region and both twins are measured at both.

The whole slide as a virtual slide, its chunks made one by one with and without the ring
of windows around them: differences across chunks' borders, and where windows begin
inside chunks, over those at other edges of cells; glass left out, real tissue beside.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import shapely

from napari_pathfm.embeddings import embed_slide
from napari_pathfm.encoders import load_encoder
from napari_pathfm.generators import load_generator
from napari_pathfm.slides import Slide, open_slide, tile_grid
from napari_pathfm.synthesis import GLASS, VirtualSlide, _virtual, extend, repair, twin
from napari_pathfm.synthesis._seam import border_step, edge_step

_PLACES = 6


def repairs(slide: Slide) -> None:
    """Print the seams of repairs and how many other pixels changed."""
    generator, encoder = load_generator(), load_encoder()
    grid = tile_grid(slide, px=224, mpp=0.5)
    covered = grid.coords[:: max(1, len(grid.coords) // _PLACES)][:_PLACES]
    real, pasted, fitted, changed, seconds = [], [], [], 0, []
    for x, y in covered.tolist():
        middle = shapely.Point(x + grid.tile_size / 2, y + grid.tile_size / 2)
        mask = middle.buffer(0.16 * grid.tile_size, quad_segs=2)
        began = time.perf_counter()
        made = repair(slide, mask, generator, encoder, preset="fast")
        seconds.append(time.perf_counter() - began)
        plain = repair(slide, mask, generator, encoder, preset="fast", feather=0)
        pixels = made.images[0].pixels
        real.append(edge_step(made.source, made.mask))
        pasted.append(edge_step(plain.images[0].pixels, made.mask))
        fitted.append(edge_step(pixels, made.mask))
        changed += int((pixels != made.source).any(-1)[~made.mask].sum())
    print(f"repairs: {len(real)}, median {np.median(seconds):.1f} s each")
    print(f"pixels outside the mask that changed: {changed}")
    for name, values in (
        ("the real tissue", real),
        ("made pixels as they are", pasted),
        ("repair", fitted),
    ):
        print(
            f"seam, {name}: {np.mean(values):.2f} "
            f"(from {min(values):.2f} to {max(values):.2f})"
        )


def extensions(slide: Slide) -> None:
    """Print the seams of fields of 320 px that were carried on by a tile."""
    generator, encoder = load_generator(), load_encoder()
    grid = tile_grid(slide, px=224, mpp=0.5)
    inside = [
        (x, y)
        for x, y in grid.coords.tolist()
        if x + 700 < slide.dimensions[0] and y + 700 < slide.dimensions[1]
    ]
    real, made, kept = [], [], 0
    for x, y in inside[:: max(1, len(inside) // _PLACES)][:_PLACES]:
        found = extend(slide, (x, y, 320, 320), generator, encoder, preset="fast")
        real.append(edge_step(found.source, found.mask))
        made.append(found.images[0].provenance.fidelity["seam"])
        same = (found.images[0].pixels == found.source).all(-1)
        kept += int((~same[~found.mask]).sum())
    print(f"extensions: {len(made)}; pixels of fields that changed: {kept}")
    for name, values in (("the real tissue", real), ("extension", made)):
        print(
            f"seam, {name}: {np.mean(values):.2f} "
            f"(from {min(values):.2f} to {max(values):.2f})"
        )


def twins(slide: Slide, side: int) -> None:
    """Print the seams of a region's twin, with and without fusion."""
    generator, encoder = load_generator(), load_encoder()
    wide, high = slide.dimensions
    size = side * slide.sampling(0.5).downsample
    box = ((wide - size) / 2, (high - size) / 2, size, size)
    made = {}
    for name, overlap in (("fused", 0.25), ("tiles alone", 0.0)):
        began = time.perf_counter()
        made[name] = twin(
            slide,
            box,
            generator,
            encoder,
            overlap=overlap,
            sampler="euler",
            steps=6,
            guidance=1,
        )
        told = made[name].images[0].provenance
        print(
            f"twin of {side} px, {name}: {told.details['tiles']} tiles, "
            f"{time.perf_counter() - began:.0f} s, cosine of a tile to its condition "
            f"{told.fidelity['cosine_to_condition']:.2f}"
        )
    for where, other in made.items():
        pictures = {
            "the real region": other.source,
            **{name: its.images[0].pixels for name, its in made.items()},
        }
        for name, pixels in pictures.items():
            if pixels.shape == other.source.shape:
                plain = border_step(pixels, *other.borders)
                cells = border_step(pixels, *other.borders, 8)
                print(
                    f"borders of {where}: {name} {plain:.3f} over all other places, "
                    f"{cells:.3f} over other edges of 8 px cells"
                )


def virtual(slide: Slide) -> None:
    """Print the seams of a virtual slide at chunks' and windows' borders."""
    encoder, generator = load_encoder(device="cpu"), load_generator(device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        store = embed_slide(slide, encoder, Path(folder) / "slide.zarr")
        pictures = {}
        for margin in (0, _virtual.MARGIN):
            with mock.patch.object(_virtual, "MARGIN", margin):
                whole = VirtualSlide(slide, store, generator)
                high, wide = whole.shape
                began = time.perf_counter()
                pictures[f"margin {margin}"] = whole.read(0, 0, wide, high)
                took = time.perf_counter() - began
            chunks = sum(not whole.is_glass(chunk) for chunk in whole.all_chunks())
            print(f"margin {margin}: {chunks} chunks, {took / chunks:.1f} s each")
    glass = (pictures["margin 0"] == GLASS).all(2)
    real = slide.read(0, 0, wide, high, mpp=generator.spec.mpp).copy()
    real[glass] = GLASS
    pictures["the real tissue"] = real
    side, window = whole.chunk_px, whole.chunk_px // _virtual.CHUNK
    for name, pixels in pictures.items():
        at = _steps(pixels, side, window)
        print(f"{name}: chunks {at[0]:.3f}, windows {at[1]:.3f}")


def _steps(pixels: np.ndarray, side: int, window: int) -> tuple[float, float]:
    """Mean difference across chunks' and across windows' first lines over others'."""
    sums = np.zeros((3, 2))
    for view in (pixels, pixels.swapaxes(0, 1)):
        there = ~(view == GLASS).all(2)
        for line in range(8, view.shape[0], 8):
            both = there[line] & there[line - 1]
            step = np.abs(view[line].astype(int) - view[line - 1]).mean(1)[both]
            kind = 0 if line % side == 0 else 1 if line % window == 0 else 2
            sums[kind] += step.sum(), len(step)
    chunk, start, other = sums[:, 0] / sums[:, 1]
    return chunk / other, start / other


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--only", choices=["repairs", "twins", "extensions", "virtual"])
    parser.add_argument("--side", type=int, default=2048, help="of the twin, pixels")
    options = parser.parse_args()
    with open_slide(options.slide, mpp=options.mpp) as slide:
        if options.only in (None, "repairs"):
            repairs(slide)
        if options.only in (None, "twins"):
            twins(slide, options.side)
        if options.only in (None, "extensions"):
            extensions(slide)
        if options.only in (None, "virtual"):
            virtual(slide)


if __name__ == "__main__":
    main()
