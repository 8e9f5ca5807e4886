"""Where the tiles of another program's file lie on a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.slides import Slide, TileGrid


def foreign_grid(
    file: Path, slide: Slide, coords: NDArray[np.int64], told: Mapping[str, Any]
) -> tuple[TileGrid, NDArray[np.int64]]:
    """Lay the grid that holds the tiles.

    Parameters
    ----------
    file : Path
        For messages.
    slide : Slide
        With a known pixel size.
    coords : ndarray
        int64 ``(N, 2)``: level-0 ``(x, y)``.
    told : mapping
        Attributes of the file's ``coords``.

    Returns
    -------
    grid : TileGrid
        Its rows are those of the file.
    rows : ndarray
        int64 ``(N,)``.

    Raises
    ------
    StoreError
        If the tiles' size is not said, they lie beyond the slide or twice at one
        place.
    MissingMppError
        If the slide's pixel size is unknown.
    """
    px, side = _size(file, slide, told)
    width, height = slide.dimensions
    said = tuple(told.get(key) for key in ("level0_width", "level0_height"))
    if None not in said and said != slide.dimensions:
        raise StoreError(
            f"{file} belongs to a slide of {said[0]} x {said[1]} px, and "
            f"{slide.path.name} has {width} x {height}"
        )
    step = side - float(told.get("overlap") or 0) * side / px
    return lay_grid(file, slide, coords, px, side, step)


def lay_grid(
    file: Path,
    slide: Slide,
    coords: NDArray[np.int64],
    px: int,
    side: float,
    step: float,
    mpp: float | None = None,
) -> tuple[TileGrid, NDArray[np.int64]]:
    """Lay the grid through tiles whose places and size are known.

    CLAM and LazySlide begin a lattice at each piece of tissue. The grid's is then the
    coarsest that holds all of them, to the pixel, and its ``step`` that of a piece.

    Parameters
    ----------
    file : Path
        For messages.
    slide : Slide
        With a known pixel size.
    coords : ndarray
        int64 ``(N, 2)``: level-0 ``(x, y)`` of the corners.
    px : int
        Side of a tile in the pixels that the encoder was given.
    side, step : float
        Side of a tile, and from tile to tile, in level-0 pixels.
    mpp : float, optional
        Micrometres per pixel that was asked for; by default what the sides give.

    Returns
    -------
    grid, rows
        As of `foreign_grid`.

    Raises
    ------
    StoreError
        If tiles lie beyond the slide or twice at one place.
    MissingMppError
        If the slide's pixel size is unknown.
    """
    from napari_pathfm.slides import TileGrid

    if (coords < -side).any() or (coords >= slide.dimensions).any():
        raise StoreError(f"{file} has tiles beyond {slide.path.name}: another slide's?")
    stride, own = _strides(coords, side, step)
    origin = coords.min(0) % stride
    cells = (coords - origin) // stride
    cells -= (floor := np.minimum(cells.min(0), 0))
    origin += floor * stride
    if len(np.unique(cells, axis=0)) < len(cells):
        raise StoreError(f"{file} has two tiles at one place")
    columns, rows = (cells.max(0) + 1).tolist()
    grid = {
        "px": px,
        "mpp": mpp or slide.require_mpp() * side / px,
        "tile_size": side,
        "stride": stride,
        "origin": origin.tolist(),
        "shape": [rows, columns],
        "mask": {},
        "step": own,
    }
    return TileGrid.from_attrs(grid, cells[:, ::-1]), np.arange(len(coords))


def _size(file: Path, slide: Slide, told: Mapping[str, Any]) -> tuple[int, float]:
    """Side of a tile in the pixels that the encoder was given, and in level 0."""
    px = told.get("patch_size")
    own, target = told.get("level0_magnification"), told.get("target_magnification")
    if px and told.get("patch_size_level0"):
        return int(px), float(told["patch_size_level0"])
    if px and own and target:
        return int(px), float(px) * float(own) / float(target)
    level = told.get("patch_level")
    if px and level is not None and 0 <= int(level) < len(slide.levels):
        custom = float(told.get("custom_downsample") or 1)
        return int(px), float(px) * slide.levels[int(level)].downsample * custom
    raise StoreError(
        f"{file} does not say how large its tiles are: its coords need the attributes "
        "patch_size and patch_size_level0 (TRIDENT) or patch_level (CLAM)"
    )


def _strides(
    coords: NDArray[np.int64], side: float, step: float
) -> tuple[int, int | None]:
    """Level-0 pixels from cell to cell, and from tile to tile where that is more."""
    apart = int(np.gcd.reduce(np.abs(coords - coords[0]).reshape(-1)))
    said = round(step)
    if said > 0 and apart % said == 0:  # apart is 0 where there is one tile
        return said, None
    # CLAM does not say its step. Within a piece it is what most neighbours are apart.
    seen = _usual_step(coords)
    if seen is None or seen > side:
        seen = said if 0 < said <= side else round(side)
    return apart, None if apart >= seen else seen


def _usual_step(coords: NDArray[np.int64]) -> int | None:
    """Give what neighbours along rows and columns mostly are apart."""
    gaps = []
    for along, across in ((0, 1), (1, 0)):
        ordered = coords[np.lexsort((coords[:, along], coords[:, across]))]
        change = np.diff(ordered, axis=0)
        gaps.append(change[change[:, across] == 0, along])
    values, counts = np.unique(np.concatenate(gaps), return_counts=True)
    return int(values[counts.argmax()]) if len(values) else None
