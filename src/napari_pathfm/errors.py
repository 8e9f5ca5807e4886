"""What a person is told when something cannot be done.

Every message is one line that names the thing and the way out. The command line prints
it and exits with 1; the viewer shows it as a notification.
"""

from __future__ import annotations


class PathfmError(Exception):
    """Base of every failure that a user can cause or meet."""


class SlideError(PathfmError):
    """A file is missing, is no slide, or is damaged."""


class MissingMppError(SlideError):
    """The pixel size is not in the file and was not given."""


class OutsideSlideError(PathfmError):
    """A point or region lies outside the slide."""


class UnknownModelError(PathfmError):
    """No encoder or generator of that name is in the catalogue."""


class SpecError(PathfmError):
    """A file that describes a model is missing, damaged, or says what cannot be."""


class WeightsError(PathfmError):
    """Weights are missing, gated, damaged, or do not fit the architecture."""


class StoreError(PathfmError):
    """An embedding store is missing, unfinished, damaged, or of another provenance."""


class IncomparableError(StoreError):
    """Vectors of two stores come from different models, or nobody knows."""


class LabelError(PathfmError):
    """Labels are missing, too few, or contradict each other."""


class OutputError(PathfmError):
    """A result cannot be written where it was asked for."""


class Cancelled(PathfmError):
    """The user stopped the work; nothing is wrong."""


class SessionError(PathfmError):
    """A session file is missing, damaged, or of another kind."""
