"""What trainings of a head vary, and what they share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Setting:
    """What a training may vary.

    Attributes
    ----------
    rate, decay : float
        Learning rate and weight decay of Adam.
    """

    rate: float
    decay: float


@dataclass(frozen=True)
class Schedule:
    """What all trainings share.

    Attributes
    ----------
    epochs, batch, tiles : int
        Passes over the slides; slides a step; tiles of a slide an epoch at most.
    """

    epochs: int = 50
    batch: int = 16
    tiles: int = 1000
