"""Tiles drawn on a lattice of cells: which tile each cell of a map shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.slides._grid import TileGrid

# Cells along a tile's step, at most: a 32nd of it is the most that a tile is drawn off.
_FINEST = 16

# Cells of a raster, at most: 32 MB of row numbers.
_MOST_CELLS = 4_000_000


@dataclass(frozen=True, eq=False)
class Raster:
    """Which tile each cell of a map shows.

    Attributes
    ----------
    index : int64 array, shape (rows, columns)
        Row of the tile in the grid; -1 where there is none.
    origin : (float, float)
        Level-0 ``(x, y)`` of the first cell's corner.
    stride : int
        Level-0 pixels per cell.
    """

    index: NDArray[np.int64]
    origin: tuple[float, float]
    stride: int


def lay_raster(grid: TileGrid) -> Raster:
    """Draw the tiles of a grid.

    On one lattice a cell is ``stride`` wide and centred on its tile, which may be
    wider. Where pieces of tissue have lattices of their own, each tile fills a square
    of the side ``step`` around its centre, and the nearer of two tiles wins. The cells
    are those of the grid's own fine lattice where that is at most 16 times finer than
    the step and has no more than 4 million of them, and tiles are drawn to the pixel;
    else they are coarser, and drawn off by half a cell at most.
    """
    if grid.step is None:
        index = np.full(grid.shape, -1, np.int64)
        index[grid.cells[:, 0], grid.cells[:, 1]] = np.arange(len(grid))
        margin = (grid.tile_size - grid.stride) / 2
        x, y = grid.origin
        return Raster(index, (x + margin, y + margin), grid.stride)
    corners = grid.coords.astype(np.float64) + (grid.tile_size - grid.step) / 2
    first = corners.min(axis=0)
    span = corners.max(axis=0) + grid.step - first
    wanted = max(grid.step / _FINEST, math.sqrt(span.prod() / _MOST_CELLS))
    cell = grid.stride * max(1, math.ceil(wanted / grid.stride))
    columns, rows = np.ceil(span / cell).astype(int).tolist()
    index = np.full((rows, columns), -1, np.int64)
    nearest = np.full((rows, columns), np.inf, np.float32)
    # Cells whose centres lie in a tile's square begin here, in each tile.
    low = np.ceil((corners - first) / cell - 0.5).astype(np.int64)
    middle = (corners + grid.step / 2 - first) / cell - 0.5
    half = grid.step / cell / 2
    across = math.ceil(grid.step / cell) + 1
    numbers = np.arange(len(grid))
    for down in range(across):
        for right in range(across):
            at = low + np.array((right, down))
            away = np.abs(at - middle)
            # Half open, so that neighbours share no cell.
            inside = ((at - middle < half) & (at < (columns, rows))).all(axis=1)
            column, row = at[inside].T
            far = away[inside].max(axis=1).astype(np.float32)
            better = far < nearest[row, column]
            row, column = row[better], column[better]
            nearest[row, column] = far[better]
            index[row, column] = numbers[inside][better]
    return Raster(index, (float(first[0]), float(first[1])), cell)
