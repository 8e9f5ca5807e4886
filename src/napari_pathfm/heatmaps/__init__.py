"""Heatmaps over a slide: likeness, few-shot classes, and what needs no labels."""

from napari_pathfm.heatmaps._attention import attention
from napari_pathfm.heatmaps._category_map import CategoryMap
from napari_pathfm.heatmaps._class_maps import ClassMaps
from napari_pathfm.heatmaps._classes import (
    PALETTE,
    LabelledTiles,
    TissueClass,
    classes_named,
    label_places,
)
from napari_pathfm.heatmaps._extremes import Found, extremes
from napari_pathfm.heatmaps._few_shot import FewShot, fit_few_shot
from napari_pathfm.heatmaps._few_shot_file import load_few_shot, save_few_shot
from napari_pathfm.heatmaps._fine import (
    MOST_FINE_TILES,
    FineSimilarity,
    fine_similarity,
)
from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid
from napari_pathfm.heatmaps._patch_cache import PATCH_CACHE_BYTES, PatchCache
from napari_pathfm.heatmaps._patch_places import patches_under
from napari_pathfm.heatmaps._patches import PatchVectors
from napari_pathfm.heatmaps._places import rows_at
from napari_pathfm.heatmaps._search import Hit, search
from napari_pathfm.heatmaps._search_index import SearchIndex, build_index, open_index
from napari_pathfm.heatmaps._similarity import similarity
from napari_pathfm.heatmaps._suggest import label_next
from napari_pathfm.heatmaps._unlabelled import clusters, components, outliers
from napari_pathfm.heatmaps._validation import Validation, validate
from napari_pathfm.heatmaps._vectors import UnitVectors

__all__ = [
    "MOST_FINE_TILES",
    "PALETTE",
    "PATCH_CACHE_BYTES",
    "CategoryMap",
    "ClassMaps",
    "FewShot",
    "FineSimilarity",
    "Found",
    "Heatmap",
    "Hit",
    "LabelledTiles",
    "PatchCache",
    "PatchVectors",
    "SearchIndex",
    "TissueClass",
    "UnitVectors",
    "Validation",
    "attention",
    "build_index",
    "classes_named",
    "clusters",
    "components",
    "extremes",
    "fine_similarity",
    "fit_few_shot",
    "label_next",
    "label_places",
    "load_few_shot",
    "on_grid",
    "open_index",
    "outliers",
    "patches_under",
    "rows_at",
    "save_few_shot",
    "search",
    "similarity",
    "validate",
]
