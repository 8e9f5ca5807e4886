"""Heatmaps over a slide: what is like a clicked place."""

from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid
from napari_pathfm.heatmaps._similarity import similarity

__all__ = ["Heatmap", "on_grid", "similarity"]
