"""One number per tile, and where it lies on the slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_pathfm.errors import OutsideSlideError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_pathfm.slides import TileGrid

# Attributes of a store that a heatmap passes on, so that it can be made again. No path
# is among them: heatmaps are handed to others, and a folder's name can be a patient's.
_PASSED_ON = (
    "encoder",
    "encoder_spec",
    "weights_revision",
    "pooling",
    "slide",
    "slide_fingerprint",
    "slide_mpp",
    "tile_px",
    "mpp",
    "icc_applied",
    "software",
)


@dataclass(frozen=True)
class Heatmap:
    """A grid of values over a slide.

    Attributes
    ----------
    values : ndarray
        float32 ``(rows, columns)``; NaN where there is no tissue or no result yet.
    origin : (float, float)
        Level-0 ``(x, y)`` of the first cell's top-left corner.
    stride : float
        Level-0 pixels per cell.
    mpp : float
        Micrometres per level-0 pixel.
    name : str
        What the values are, for people: ``"similarity"``.
    limits : (float, float)
        The values between which colours should spread.
    provenance : dict
        What made it; JSON-serialisable.
    """

    values: NDArray[np.float32]
    origin: tuple[float, float]
    stride: float
    mpp: float
    name: str = "heatmap"
    limits: tuple[float, float] = (0.0, 1.0)
    provenance: dict[str, Any] = field(default_factory=dict)

    def at(self, x: float, y: float) -> float:
        """Value at a level-0 point; NaN where there is none.

        Raises
        ------
        OutsideSlideError
            If the point lies outside the grid.
        """
        row, column = cell_at(self, x, y)
        return float(self.values[row, column])

    def centres(self) -> NDArray[np.float64]:
        """Level-0 ``(x, y)`` of every cell's centre: float64 ``(rows, columns, 2)``."""
        rows, columns = self.values.shape
        x = self.origin[0] + (np.arange(columns) + 0.5) * self.stride
        y = self.origin[1] + (np.arange(rows) + 0.5) * self.stride
        return np.stack(np.meshgrid(x, y), axis=-1)

    def to_layer(
        self, *, name: str | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any], str]:
        """Give a napari layer-data tuple, one pixel a cell, in micrometres.

        Parameters
        ----------
        name : str, optional
            Of the layer, in place of the map's own.
        """
        from napari_pathfm.slides import grid_transform

        scale, translate = grid_transform(self.origin, self.stride, self.mpp)
        metadata = {"version": 1, "kind": "heatmap", "name": self.name, "mpp": self.mpp}
        metadata |= {"origin": list(self.origin), "stride": self.stride}
        metadata |= {"limits": list(self.limits), "provenance": self.provenance}
        metadata["fingerprint"] = self.provenance.get("slide_fingerprint")
        keywords = {
            "name": name or self.name,
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "contrast_limits": self.limits,
            "interpolation2d": "nearest",
            "blending": "translucent",
            "opacity": 0.6,
            "metadata": {"napari_pathfm": metadata},
        }
        return self.values, keywords, "image"


class Map(Protocol):
    """Whatever has one value per cell of a lattice over a slide."""

    @property
    def values(self) -> NDArray[Any]:
        """One per cell, ``(rows, columns)``."""

    @property
    def origin(self) -> tuple[float, float]:
        """Level-0 ``(x, y)`` of the first cell's corner."""

    @property
    def stride(self) -> float:
        """Level-0 pixels per cell."""

    @property
    def name(self) -> str:
        """What it is, for people."""


def cell_at(grid: Map, x: float, y: float) -> tuple[int, int]:
    """Find the ``(row, column)`` of a level-0 point.

    Raises
    ------
    OutsideSlideError
        If the point lies outside the grid.
    """
    column = int((x - grid.origin[0]) // grid.stride)
    row = int((y - grid.origin[1]) // grid.stride)
    rows, columns = grid.values.shape
    if not (0 <= row < rows and 0 <= column < columns):
        raise OutsideSlideError(f"({x:g}, {y:g}) lies outside the {grid.name} map")
    return row, column


def on_grid(
    grid: TileGrid, values: NDArray[np.float32]
) -> tuple[NDArray[np.float32], tuple[float, float], int]:
    """Lay one value per tile out on cells, as `TileGrid.raster` does.

    Returns
    -------
    cells : ndarray
        float32 ``(rows, columns)``, ``grid.shape`` where all tiles lie on one lattice;
        NaN where there is no tile.
    origin : (float, float)
        Level-0 ``(x, y)`` of the first cell's corner.
    stride : int
        Level-0 pixels per cell.
    """
    if grid.step is not None:
        raster = grid.raster
        padded = np.append(np.asarray(values, np.float32), np.float32(np.nan))
        return padded[raster.index], raster.origin, raster.stride  # -1 is the last
    # The same without an index of all cells: there may be ten million.
    cells = np.full(grid.shape, np.nan, np.float32)
    cells[grid.cells[:, 0], grid.cells[:, 1]] = values
    margin = (grid.tile_size - grid.stride) / 2
    return cells, (grid.origin[0] + margin, grid.origin[1] + margin), grid.stride


def passed_on(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a map's provenance takes over from its store's attributes."""
    return {key: attrs[key] for key in _PASSED_ON if key in attrs}
