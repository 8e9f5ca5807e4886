"""Slides: open, read, pyramid, tissue mask, tile grid; all coordinates."""

from __future__ import annotations

from napari_pathfm.slides._coordinates import (
    grid_transform,
    level0_to_world,
    world_to_level0,
)
from napari_pathfm.slides._drawn import draw_slide
from napari_pathfm.slides._grid import MIN_TISSUE, TileGrid, tile_grid
from napari_pathfm.slides._levels import Level, Sampling
from napari_pathfm.slides._open import open_slide
from napari_pathfm.slides._slide import Slide
from napari_pathfm.slides._tissue import TissueMask, tissue_mask

__all__ = [
    "MIN_TISSUE",
    "Level",
    "Sampling",
    "Slide",
    "TileGrid",
    "TissueMask",
    "draw_slide",
    "grid_transform",
    "level0_to_world",
    "open_slide",
    "tile_grid",
    "tissue_mask",
    "world_to_level0",
]
