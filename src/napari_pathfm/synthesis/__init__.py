"""Synthetic tissue at a place of a slide, and how far to trust it."""

from napari_pathfm.slides import check_box
from napari_pathfm.synthesis._chunk_files import ChunkFiles
from napari_pathfm.synthesis._compare import difference, real_part
from napari_pathfm.synthesis._condition import (
    PATHS,
    Path,
    check_places,
    check_points,
    mix,
)
from napari_pathfm.synthesis._direction import REACH, Classifier, check_steering
from napari_pathfm.synthesis._extend import SIDES, Extension, extend
from napari_pathfm.synthesis._mask import mask_shape
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._repair import Repair, repair
from napari_pathfm.synthesis._steer import Steering, steer
from napari_pathfm.synthesis._trust import Likeness, Trust, trust
from napari_pathfm.synthesis._twin import OVERLAP, Twin, twin
from napari_pathfm.synthesis._vary import Variation, vary
from napari_pathfm.synthesis._verify import Verification, verify
from napari_pathfm.synthesis._virtual import VirtualSlide
from napari_pathfm.synthesis._virtual_layout import GLASS, Chunk
from napari_pathfm.synthesis._virtual_levels import halved
from napari_pathfm.synthesis._walk import FRAMES, Walk, walk

__all__ = [
    "FRAMES",
    "GLASS",
    "OVERLAP",
    "PATHS",
    "REACH",
    "SIDES",
    "Chunk",
    "ChunkFiles",
    "Classifier",
    "Extension",
    "Likeness",
    "Path",
    "PlacedImages",
    "Repair",
    "Steering",
    "Trust",
    "Twin",
    "Variation",
    "Verification",
    "VirtualSlide",
    "Walk",
    "check_box",
    "check_places",
    "check_points",
    "check_steering",
    "difference",
    "extend",
    "halved",
    "mask_shape",
    "mix",
    "real_part",
    "repair",
    "steer",
    "trust",
    "twin",
    "vary",
    "verify",
    "walk",
]
