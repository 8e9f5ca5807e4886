"""Protocols that say how good an encoder, a head or a generator is."""

from napari_pathfm.evaluation._bootstrap import Estimate, bootstrap_counts, interval
from napari_pathfm.evaluation._copies import threshold
from napari_pathfm.evaluation._correlation import closest_texture, orientations
from napari_pathfm.evaluation._expression_report import expression
from napari_pathfm.evaluation._expression_task import ExpressionTask, expression_tasks
from napari_pathfm.evaluation._fields import registered_slides, registered_tiles
from napari_pathfm.evaluation._generation_report import generation
from napari_pathfm.evaluation._head import Head, load_head, save_head
from napari_pathfm.evaluation._labelled import Labelled, labelled_tiles
from napari_pathfm.evaluation._layouts import (
    plism_features,
    plism_tiles,
    registered_stores,
)
from napari_pathfm.evaluation._probe_report import probe
from napari_pathfm.evaluation._registered import Condition, Registered, random_subset
from napari_pathfm.evaluation._report import Plot, Report, Table, write_report
from napari_pathfm.evaluation._robustness import (
    Robustness,
    four_median_score,
    robustness,
)
from napari_pathfm.evaluation._robustness_report import robustness_report
from napari_pathfm.evaluation._schedule import Schedule, Setting
from napari_pathfm.evaluation._sides import Sides, equal_sides
from napari_pathfm.evaluation._simulated import simulated_slides
from napari_pathfm.evaluation._slides import SlideSet, labelled_slides
from napari_pathfm.evaluation._slides_report import train_head, validate_slides

__all__ = [
    "Condition",
    "Estimate",
    "ExpressionTask",
    "Head",
    "Labelled",
    "Plot",
    "Registered",
    "Report",
    "Robustness",
    "Schedule",
    "Setting",
    "Sides",
    "SlideSet",
    "Table",
    "bootstrap_counts",
    "closest_texture",
    "equal_sides",
    "expression",
    "expression_tasks",
    "four_median_score",
    "generation",
    "interval",
    "labelled_slides",
    "labelled_tiles",
    "load_head",
    "orientations",
    "plism_features",
    "plism_tiles",
    "probe",
    "random_subset",
    "registered_slides",
    "registered_stores",
    "registered_tiles",
    "robustness",
    "robustness_report",
    "save_head",
    "simulated_slides",
    "threshold",
    "train_head",
    "validate_slides",
    "write_report",
]
