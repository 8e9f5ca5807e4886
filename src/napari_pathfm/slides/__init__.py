"""Slides: open, read, pyramid, tissue mask, tile grid; all coordinates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.slides._box import check_box
from napari_pathfm.slides._cache import TileCache
from napari_pathfm.slides._coordinates import (
    grid_transform,
    level0_to_world,
    world_to_level0,
)
from napari_pathfm.slides._drawn import draw_slide
from napari_pathfm.slides._grid import MIN_TISSUE, TileGrid, tile_grid
from napari_pathfm.slides._levels import Level, Sampling
from napari_pathfm.slides._open import open_slide
from napari_pathfm.slides._raster import Raster
from napari_pathfm.slides._slide import Slide
from napari_pathfm.slides._synthetic import synthetic_provenance
from napari_pathfm.slides._tissue import TissueMask, tissue_mask

if TYPE_CHECKING:
    from napari_pathfm.slides._lazy import LevelArray

__all__ = [
    "MIN_TISSUE",
    "Level",
    "LevelArray",
    "Raster",
    "Sampling",
    "Slide",
    "TileCache",
    "TileGrid",
    "TissueMask",
    "check_box",
    "draw_slide",
    "grid_transform",
    "level0_to_world",
    "open_slide",
    "synthetic_provenance",
    "tile_grid",
    "tissue_mask",
    "world_to_level0",
]


def __getattr__(name: str) -> object:
    # It imports Dask, which takes half a second that most callers need not spend.
    if name == "LevelArray":
        from napari_pathfm.slides._lazy import LevelArray

        return LevelArray
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
