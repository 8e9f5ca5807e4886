"""Synthetic tissue at a place of a slide, and how far to trust it."""

from napari_pathfm.synthesis._vary import Variation, check_points, vary

__all__ = ["Variation", "check_points", "vary"]
