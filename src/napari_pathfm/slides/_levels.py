"""What a level is, and where OpenSlide puts a level's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BackendName = Literal["openslide", "tifffile"]

# A level whose resolution lies this close to the one asked for is read as it is.
DIRECT_TOLERANCE = 0.01


@dataclass(frozen=True)
class Level:
    """One resolution of a slide.

    Attributes
    ----------
    width, height : int
        Size in pixels of this level.
    downsample : float
        Level-0 pixels per pixel of this level; 1.0 for level 0.
    """

    width: int
    height: int
    downsample: float


@dataclass(frozen=True)
class Sampling:
    """How pixels of a given size are read from a slide.

    Attributes
    ----------
    level : int
        The level they come from.
    downsample : float
        Level-0 pixels per pixel read. Equal to the level's own downsample when the
        level is read as it is; otherwise the region is resized.
    """

    level: int
    downsample: float


class Backend(Protocol):
    """A reader of one file; `Slide` is what the rest of the program sees."""

    name: BackendName
    vendor: str
    levels: tuple[Level, ...]
    tile_sizes: tuple[tuple[int, int], ...]
    mpp: tuple[float, float] | None
    objective: float | None
    associated: tuple[str, ...]

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read ``(height, width, 3)`` pixels of a level from level-0 ``(x, y)``."""
        ...

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an associated image ``(h, w, 3)``; `KeyError` where there is none."""
        ...

    def close(self) -> None:
        """Let the file go."""
        ...


def choose_level(levels: tuple[Level, ...], downsample: float) -> Sampling:
    """Choose the coarsest level that is not coarser than `downsample` (within 1 %)."""
    best = 0
    for index, level in enumerate(levels):
        if level.downsample <= downsample * (1 + DIRECT_TOLERANCE):
            best = index
    own = levels[best].downsample
    if abs(own / downsample - 1) <= DIRECT_TOLERANCE:
        return Sampling(best, own)
    return Sampling(best, downsample)


def position(start: int, downsample: float) -> float:
    """Tell where on a level a read that starts at a level-0 pixel really begins.

    OpenSlide begins at ``start / downsample`` and interpolates between the level's
    pixels where that is no whole number; left of or above the slide it cuts the
    fraction off.
    """
    if start >= 0:
        return start / downsample
    return float(-int(-start / downsample))


def start_of(pixel: int, downsample: float) -> int:
    """Find the level-0 pixel from which a read begins at `pixel` of a level.

    Where the downsample is a whole number the read begins exactly there; otherwise at
    most half a level-0 pixel away from it.
    """
    if pixel >= 0:
        return math.floor(pixel * downsample + 0.5)
    start = math.floor(pixel * downsample)
    while (
        position(start, downsample) > pixel
    ):  # the cut-off fraction, in floating point
        start -= 1
    return start
