"""Synthetic tissue at a place of a slide, and how far to trust it."""

from napari_pathfm.synthesis._condition import PATHS, Path, check_points, mix
from napari_pathfm.synthesis._lattice import check_box
from napari_pathfm.synthesis._mask import mask_shape
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._repair import Repair, repair
from napari_pathfm.synthesis._twin import OVERLAP, Twin, twin
from napari_pathfm.synthesis._vary import Variation, vary
from napari_pathfm.synthesis._verify import Verification, verify
from napari_pathfm.synthesis._walk import FRAMES, Walk, walk

__all__ = [
    "FRAMES",
    "OVERLAP",
    "PATHS",
    "Path",
    "PlacedImages",
    "Repair",
    "Twin",
    "Variation",
    "Verification",
    "Walk",
    "check_box",
    "check_points",
    "mask_shape",
    "mix",
    "repair",
    "twin",
    "vary",
    "verify",
    "walk",
]
