"""A region of a slide made once more: an area conditioned on a grid of its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import area_settings, generate_area
from napari_pathfm.slides import check_box
from napari_pathfm.synthesis._condition import check_pair, slide_details
from napari_pathfm.synthesis._fidelity import cosine, embed_tiles
from napari_pathfm.synthesis._lattice import check_memory, lattice_of
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._seam import border_step
from napari_pathfm.synthesis._surroundings import Region, check_tissue

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice

    Box = tuple[float, float, float, float]

#: Share of a tile by which neighbours overlap, at least.
OVERLAP = 0.25
_MOST = 0.75
# Of a cell: what arithmetic loses of a box that was given as whole cells.
_ROUNDING = 1e-6
_BATCH = 16


@dataclass(frozen=True, eq=False)
class Twin(PlacedImages):
    """The synthetic twin of a region.

    `source` is the real region; see `PlacedImages` for the rest.

    Attributes
    ----------
    borders : (list of int, list of int)
        Rows and columns of pixels at which tiles begin or end inside.
    """

    axis: ClassVar[str] = "twin"

    borders: tuple[list[int], list[int]]

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return f"Synthetic twin · {first.generator} · seed {first.seed}"


def twin(
    slide: Slide,
    box: Box,
    generator: Generator,
    encoder: Encoder,
    *,
    overlap: float = OVERLAP,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Twin:
    """Make a region of a slide once more, as one area without seams.

    The region is covered with tiles that overlap. Each is conditioned on the embedding
    of the real tile in its place; their velocities are averaged at every step, so that
    they grow together.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    box : (x, y, width, height)
        Level-0 pixels, at least a tile on each side; it grows to whole latent cells.
    generator : Generator
        One that gives its latent flow.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    overlap : float
        Share of a tile by which neighbours overlap at least, 0 to 0.75; 0 makes each
        tile alone, and seams show.
    seed, steps, guidance, sampler, preset, on_step
        See `generate_area`.

    Returns
    -------
    Twin
        With one image. Its fidelity has the mean cosine of its tiles to the real ones,
        and ``seam``: see `border_step`.

    Raises
    ------
    OutsideSlideError
        If the box is empty or leaves the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If the box is smaller than a tile, holds no tissue or does not fit into memory,
        the encoder is another than the generator's, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    check_pair(generator.spec, encoder)
    mpp = slide.require_mpp()
    check_box(slide, box)
    if not 0 <= overlap <= _MOST:
        raise PathfmError(f"an overlap of {overlap:g} makes no sense: use 0 to {_MOST}")
    area_settings(
        generator, sampler=sampler, steps=steps, guidance=guidance, preset=preset
    )
    lattice = lattice_of(slide, generator, generator.flow(on_step))
    region = _cells(slide, box, lattice)
    check_memory(region.height * region.width * lattice.px**2)
    side = lattice.side
    rows = _spread(region.height, side, overlap)
    columns = _spread(region.width, side, overlap)
    windows = [(r, c) for r in rows for c in columns]
    check_tissue(slide, lattice, region, windows)
    real = lattice.read(slide, *region.cells)
    conditions = _embedded(encoder, real, lattice, windows)
    image = generate_area(
        generator,
        (region.height, region.width),
        windows,
        conditions,
        place=(region.row, region.column),
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        preset=preset,
        on_step=on_step,
    )
    seen = _embedded(encoder, image.pixels, lattice, windows)
    near = [cosine(s, told) for s, told in zip(seen, conditions, strict=True)]
    across = _borders(rows, region.height, lattice)
    down = _borders(columns, region.width, lattice)
    placed = lattice.box(*region.cells)
    image = image.with_provenance(
        action="twin",
        details={**slide_details(slide), "overlap": overlap, "tiles": len(windows)},
        encoder=encoder.spec.name,
        encoder_revision=encoder.revision,
        slide=slide.path.name,
        slide_fingerprint=slide.fingerprint,
        box=placed,
        mpp=lattice.pixel * mpp,
        fidelity={
            "cosine_to_condition": round(float(np.mean(near)), 4),
            "seam": border_step(image.pixels, across, down, lattice.px),
        },
    )
    return Twin(
        [image],
        placed,
        real,
        mpp,
        str(slide.path),
        slide.fingerprint,
        borders=(across, down),
    )


def _cells(slide: Slide, box: Box, lattice: Lattice) -> Region:
    """Choose the whole cells that hold a box, as far as they lie in the slide."""
    cell = lattice.cell
    x, y, width, height = box
    limits = [math.floor(length / cell) for length in slide.dimensions]
    spans = []
    for start, length, limit in ((y, height, limits[1]), (x, width, limits[0])):
        first = math.floor(start / cell + _ROUNDING)
        last = min(limit, math.ceil((start + length) / cell - _ROUNDING))
        spans.append((first, last - first))
    (row, high), (column, wide) = spans
    if min(high, wide) < lattice.side:
        least = lattice.side * cell
        raise PathfmError(
            f"a region of {width:g} x {height:g} level-0 pixels is smaller than a tile "
            f"of {least:g}: choose a larger one, or make a single tile (generate)"
        )
    return Region(row, column, high, wide)


def _spread(length: int, side: int, overlap: float) -> list[int]:
    """Even starts of windows that cover a length; without overlap, the last is moved.

    Where they must not overlap and do not fit, the last one does overlap.
    """
    if overlap == 0:
        starts = list(range(0, length - side + 1, side))
        return starts if starts[-1] == length - side else [*starts, length - side]
    count = math.ceil((length - side) / (side * (1 - overlap))) + 1
    if count == 1:
        return [0]
    return [round(i * (length - side) / (count - 1)) for i in range(count)]


def _borders(starts: list[int], length: int, lattice: Lattice) -> list[int]:
    """Pixels at which windows begin or end inside an area."""
    cells = {edge for start in starts for edge in (start, start + lattice.side)}
    return sorted(edge * lattice.px for edge in cells - {0, length})


def _embedded(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    lattice: Lattice,
    windows: list[tuple[int, int]],
) -> NDArray[np.float32]:
    """CLS of an area's windows, float32 ``(N, D)``."""
    px, tile = lattice.px, lattice.tile_px
    found = []
    for first in range(0, len(windows), _BATCH):
        corners = [(r * px, c * px) for r, c in windows[first : first + _BATCH]]
        found.append(
            embed_tiles(
                encoder, [pixels[y : y + tile, x : x + tile] for y, x in corners]
            )
        )
    return np.concatenate(found)
