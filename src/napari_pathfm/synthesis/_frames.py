"""Frames along a way between two embeddings, all from the same noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.synthesis._condition import Path, mix

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.generators import Generator, OnStep, SyntheticImage


def check_frames(frames: int, of: str) -> None:
    """Refuse fewer than two.

    Raises
    ------
    PathfmError
    """
    if frames < 2:
        raise PathfmError(f"a {of} has a first and a last frame, not {frames}")


@dataclass(frozen=True, eq=False)
class Way:
    """From one embedding to another.

    Attributes
    ----------
    start, end : ndarray
        float32 ``(D,)``.
    path : {"spherical", "linear"}
        See `mix`.
    frames : int
        Both ends included.
    """

    start: NDArray[np.float32]
    end: NDArray[np.float32]
    path: Path
    frames: int

    @property
    def fractions(self) -> list[float]:
        """How far each frame is, 0 to 1."""
        return [float(f) for f in np.linspace(0, 1, self.frames)]

    @property
    def conditions(self) -> NDArray[np.float32]:
        """float32 ``(frames, D)``."""
        return np.stack(
            [mix(self.start, self.end, f, self.path) for f in self.fractions]
        )


def frames_along(
    way: Way, generator: Generator, *, on_step: OnStep | None, **settings: Any
) -> list[SyntheticImage]:
    """Generate every frame, with settings as `Generator.generate` takes them."""
    images: list[SyntheticImage] = []
    for number, condition in enumerate(way.conditions):
        images += generator.generate(
            condition[None],
            on_step=_across(on_step, number, way.frames),
            **settings,
        )
    return images


def _across(on_step: OnStep | None, number: int, frames: int) -> OnStep | None:
    """Count the steps of one frame among those of all frames."""
    if on_step is None:
        return None

    def counted(
        step: int, total: int, preview: NDArray[np.uint8] | None
    ) -> bool | None:
        return on_step(number * total + step, frames * total, preview)

    return counted
