"""Synthetic tissue at a place of a slide, and how far to trust it."""

from napari_pathfm.synthesis._condition import PATHS, Path, check_points, mix
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._vary import Variation, vary
from napari_pathfm.synthesis._verify import Verification, verify
from napari_pathfm.synthesis._walk import FRAMES, Walk, walk

__all__ = [
    "FRAMES",
    "PATHS",
    "Path",
    "PlacedImages",
    "Variation",
    "Verification",
    "Walk",
    "check_points",
    "mix",
    "vary",
    "verify",
    "walk",
]
