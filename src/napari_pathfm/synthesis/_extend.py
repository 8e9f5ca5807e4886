"""A field of a slide carried on beyond its border."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, cast, get_args

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import Known, area_settings, generate_area
from napari_pathfm.slides import check_box
from napari_pathfm.synthesis._condition import check_pair, slide_details
from napari_pathfm.synthesis._fidelity import cosine, embed_tiles
from napari_pathfm.synthesis._lattice import check_memory, lattice_of
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._seam import FEATHER, composite, edge_step, filled
from napari_pathfm.synthesis._surroundings import Region, check_tissue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice

    Box = tuple[float, float, float, float]
    Cells = tuple[int, int]

#: Where a field can grow.
Side = Literal["left", "top", "right", "bottom"]
SIDES: tuple[Side, ...] = get_args(Side)

# Real tiles whose mean embedding a window beyond the border is told.
_NEAREST = 4
# Share of a window beyond the border from which on it says too little of itself.
_HIDDEN = 0.5
_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class Extension(PlacedImages):
    """A field and what was made around it.

    `source` is what the slide has there: white beyond its own edge. See `PlacedImages`
    for the rest.

    Attributes
    ----------
    mask : ndarray
        bool ``(h, w)``: the pixels that are synthetic. All others are the slide's, bit
        for bit, as it is read at the generator's resolution.
    """

    axis: ClassVar[str] = "extension"

    mask: NDArray[np.bool_]

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return f"Synthetic extension · {first.generator} · seed {first.seed}"


def extend(
    slide: Slide,
    box: Box,
    generator: Generator,
    encoder: Encoder,
    *,
    by: float | None = None,
    sides: Sequence[str] = SIDES,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Extension:
    """Carry a field on beyond its border, beyond the slide's own edge too.

    The field is kept, bit for bit. What lies around it is made from nothing but it,
    whatever the slide has there: after each step of the flow its latents are set to
    what they are at that time, and windows that lie beyond it are told the mean
    embedding of its nearest tiles.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    box : (x, y, width, height)
        The field in level-0 pixels, at least a tile on each side; what it has of a
        latent cell at its border is not kept.
    generator : Generator
        One that gives its latent flow.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    by : float, optional
        How far, in micrometres; a tile where not given.
    sides : sequence of str
        Of ``"left"``, ``"top"``, ``"right"``, ``"bottom"``.
    seed, steps, guidance, sampler, preset, on_step
        See `generate_area`.

    Returns
    -------
    Extension
        With one image. Its fidelity has the mean cosine of its windows to what they
        were told, and ``seam``: see `edge_step`.

    Raises
    ------
    OutsideSlideError
        If the box is empty or leaves the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If the field is smaller than a tile or holds no tissue, the way or the sides
        make no sense, the area does not fit into memory, the encoder is another than
        the generator's, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    check_pair(generator.spec, encoder)
    mpp = slide.require_mpp()
    check_box(slide, box)
    grown = _sides(sides)
    area_settings(
        generator, sampler=sampler, steps=steps, guidance=guidance, preset=preset
    )
    lattice = lattice_of(slide, generator, generator.flow(on_step))
    way = _way(by, lattice, mpp)
    field = _inside(box, lattice)
    check_tissue(slide, lattice, field, _windows(field.height, field.width, lattice))
    left, top, right, bottom = (way * (side in grown) for side in SIDES)
    area = Region(
        field.row - top,
        field.column - left,
        field.height + top + bottom,
        field.width + left + right,
    )
    check_memory(area.height * area.width * lattice.px**2)
    unknown = np.ones((area.height, area.width), bool)
    unknown[top : top + field.height, left : left + field.width] = False
    masked = unknown.repeat(lattice.px, 0).repeat(lattice.px, 1)
    source = lattice.read(slide, *area.cells)
    plain = filled(source, masked)
    side = lattice.side
    windows = [
        (r, c)
        for r, c in _windows(area.height, area.width, lattice)
        if unknown[r : r + side, c : c + side].any()
    ]
    conditions = _conditions(encoder, plain, unknown, windows, lattice)
    image = generate_area(
        generator,
        (area.height, area.width),
        windows,
        conditions,
        place=(area.row, area.column),
        known=Known(plain, unknown),
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        preset=preset,
        on_step=on_step,
    )
    pixels = composite(source, image.pixels, masked, FEATHER)
    seen = _embedded(encoder, pixels, windows, lattice)
    near = [cosine(s, told) for s, told in zip(seen, conditions, strict=True)]
    placed = lattice.box(*area.cells)
    image = type(image)(pixels, image.provenance).with_provenance(
        action="extend",
        details={
            **slide_details(slide),
            "field": list(lattice.box(*field.cells)),
            "by_um": way * lattice.cell * mpp,
            "sides": [side for side in SIDES if side in grown],
            "windows": len(windows),
        },
        encoder=encoder.spec.name,
        encoder_revision=encoder.revision,
        slide=slide.path.name,
        slide_fingerprint=slide.fingerprint,
        box=placed,
        mpp=lattice.pixel * mpp,
        fidelity={
            "cosine_to_condition": round(float(np.mean(near)), 4),
            "seam": edge_step(pixels, masked),
        },
    )
    return Extension(
        [image], placed, source, mpp, str(slide.path), slide.fingerprint, mask=masked
    )


def _sides(sides: Sequence[str]) -> set[Side]:
    wrong = [side for side in sides if side not in SIDES]
    if wrong or not sides:
        told = f"no side {wrong[0]!r}" if wrong else "no side was given"
        raise PathfmError(f"{told}: choose among {', '.join(SIDES)}")
    return cast("set[Side]", set(sides))


def _way(by: float | None, lattice: Lattice, mpp: float) -> int:
    """How many cells a field grows."""
    if by is None:
        return lattice.side
    way = round(by / (lattice.cell * mpp)) if math.isfinite(by) and by > 0 else 0
    if way < 1:
        raise PathfmError(
            f"growing by {by:g} um makes no sense: the least is "
            f"{lattice.cell * mpp:g} um"
        )
    return way


def _inside(box: Box, lattice: Lattice) -> Region:
    """Choose the whole cells inside a box."""
    x, y, width, height = (value / lattice.cell for value in box)
    row, column = math.ceil(y - _ROUNDING), math.ceil(x - _ROUNDING)
    high = math.floor(y + height + _ROUNDING) - row
    wide = math.floor(x + width + _ROUNDING) - column
    if min(high, wide) < lattice.side:
        raise PathfmError(
            f"a field of {box[2]:g} x {box[3]:g} level-0 pixels holds no tile of "
            f"{lattice.side * lattice.cell:g}: choose a larger one"
        )
    return Region(row, column, high, wide)


def _windows(height: int, width: int, lattice: Lattice) -> list[Cells]:
    """Cover an area with windows that overlap by half or more."""
    side = lattice.side
    spans = []
    for length in (height, width):
        count = math.ceil((length - side) / (side / 2)) + 1
        step = (length - side) / max(1, count - 1)
        spans.append([round(number * step) for number in range(count)])
    return [(r, c) for r in spans[0] for c in spans[1]]


def _conditions(
    encoder: Encoder,
    plain: NDArray[np.uint8],
    unknown: NDArray[np.bool_],
    windows: list[Cells],
    lattice: Lattice,
) -> NDArray[np.float32]:
    """Tell windows what they show; those beyond the border, the mean of tiles near."""
    side = lattice.side
    told = _embedded(encoder, plain, windows, lattice)
    top, left, height, width = _known_span(unknown)
    real = [(top + r, left + c) for r, c in _windows(height, width, lattice)]
    seen = _embedded(encoder, plain, real, lattice)
    for number, (r, c) in enumerate(windows):
        if unknown[r : r + side, c : c + side].mean() > _HIDDEN:
            away = [math.hypot(r - a, c - b) for a, b in real]
            near = np.argsort(away, kind="stable")[:_NEAREST]
            told[number] = seen[near].mean(0)
    return told


def _known_span(unknown: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """First row and column, height and width of what is known."""
    rows, columns = (np.flatnonzero(~unknown.all(axis)) for axis in (1, 0))
    return int(rows[0]), int(columns[0]), len(rows), len(columns)


def _embedded(
    encoder: Encoder,
    pixels: NDArray[np.uint8],
    windows: list[Cells],
    lattice: Lattice,
) -> NDArray[np.float32]:
    """CLS of an area's windows, float32 ``(N, D)``."""
    px, tile = lattice.px, lattice.tile_px
    corners = [(r * px, c * px) for r, c in windows]
    return np.concatenate(
        [embed_tiles(encoder, [pixels[y : y + tile, x : x + tile]]) for y, x in corners]
    )
