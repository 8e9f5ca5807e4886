"""What lies around a mask: the part of the slide it is seen in, and its clean tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.slides import tissue_mask
from napari_pathfm.synthesis._mask import cells_of, mask_pixels

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice

    Cells = tuple[int, int]

# Cells of known tissue on each side of a mask that is larger than a tile.
_MARGIN = 6
# Clean tiles whose mean is a window's condition.
_NEAREST = 4
_TISSUE = 0.5
# Less than this of any window around a mask is glass with dust on it.
_LEAST = 0.05


@dataclass(frozen=True)
class Region:
    """Some cells of a slide's lattice."""

    row: int
    column: int
    height: int
    width: int

    @property
    def cells(self) -> tuple[int, int, int, int]:
        """All four numbers."""
        return self.row, self.column, self.height, self.width

    def windows(self, side: int) -> list[Cells]:
        """First cells, within the region, of windows that overlap by half or more."""
        return [
            (r, c)
            for r in _spread(self.height, side)
            for c in _spread(self.width, side)
        ]


def region_around(shape: BaseGeometry, slide: Slide, lattice: Lattice) -> Region:
    """Choose the cells in which a mask is seen: a tile, or more where it needs more.

    It is moved into the slide where it would leave it.

    Raises
    ------
    PathfmError
        If the slide is smaller than a tile.
    """
    cell, side = lattice.cell, lattice.side
    left, top, right, bottom = shape.bounds
    wide, high = (math.floor(length / cell) for length in slide.dimensions)
    if min(wide, high) < side:
        raise PathfmError(
            f"{slide.path.name} is smaller than a tile of {lattice.tile_px} px at "
            f"{lattice.mpp:g} um: nothing in it can be repaired"
        )
    column, width = _span(left / cell, right / cell, side, wide)
    row, height = _span(top / cell, bottom / cell, side, high)
    return Region(row, column, height, width)


def check_tissue(
    slide: Slide, lattice: Lattice, region: Region, windows: list[Cells]
) -> None:
    """Refuse a mask with no tissue around it.

    The mask itself may be off the tissue, as a bubble is.

    Raises
    ------
    PathfmError
        If no window holds tissue.
    """
    cell = lattice.cell
    corners = np.array(
        [((region.column + c) * cell, (region.row + r) * cell) for r, c in windows]
    )
    covered = tissue_mask(slide).covered_many(corners, lattice.side * cell)
    if not (covered >= _LEAST).any():
        raise PathfmError(
            "there is no tissue there to go by: choose a place on the tissue"
        )


def clean_tiles(
    slide: Slide,
    shape: BaseGeometry,
    lattice: Lattice,
    region: Region,
    windows: list[Cells],
) -> list[list[Cells]]:
    """Find, for each window, the nearest tiles that the mask does not touch.

    Tiles with tissue, if there are any.

    Returns
    -------
    list of list of (int, int)
        First cells on the slide's lattice.

    Raises
    ------
    PathfmError
        If the mask touches all tiles around.
    """
    side, step = lattice.side, lattice.side // 4
    wide, high = (math.floor(length / lattice.cell) for length in slide.dimensions)
    top, left = max(0, region.row - side), max(0, region.column - side)
    bottom = min(high, region.row + region.height + side)
    right = min(wide, region.column + region.width + side)
    masked = cells_of(
        mask_pixels(shape, lattice, top, left, bottom - top, right - left), lattice.px
    )
    clean = [
        (r, c)
        for r in range(top, bottom - side + 1, step)
        for c in range(left, right - side + 1, step)
        if not masked[r - top : r - top + side, c - left : c - left + side].any()
    ]
    if not clean:
        raise PathfmError(
            "the mask touches every tile around it: say with like (--like X,Y) which "
            "tissue to put there"
        )
    corners = np.array([(c * lattice.cell, r * lattice.cell) for r, c in clean])
    covered = tissue_mask(slide).covered_many(corners, side * lattice.cell)
    if (covered >= _TISSUE).any():
        clean = [t for t, c in zip(clean, covered, strict=True) if c >= _TISSUE]
    places = np.array(clean)
    chosen = []
    for r, c in windows:
        apart = np.hypot(*(places - (region.row + r, region.column + c)).T)
        nearest = np.argsort(apart, kind="stable")[:_NEAREST]
        chosen.append([clean[i] for i in nearest])
    return chosen


def _span(first: float, last: float, side: int, most: int) -> Cells:
    """First cell and length that hold the interval with enough around it."""
    start, end = math.floor(first), math.ceil(last)
    length = min(most, max(side, end - start + 2 * _MARGIN))
    start -= (length - (end - start)) // 2
    return min(max(start, 0), most - length), length


def _spread(length: int, side: int) -> list[int]:
    """Even starts of windows that cover a length and overlap by half or more."""
    count = math.ceil((length - side) / (side // 2)) + 1
    if count == 1:
        return [0]
    return [round(i * (length - side) / (count - 1)) for i in range(count)]
