"""What a level is, and where OpenSlide puts a level's pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._tiles import TiffTiles

BackendName = Literal["openslide", "tifffile", "direct", "picture", "ome-zarr"]

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
        Level-0 pixels per pixel read. Equal to the level's own downsample times
        `factor` when its pixels are taken as they are; otherwise the region is resized.
    factor : int
        By how much tiles shrink while they are decoded; 1 mostly.
    """

    level: int
    downsample: float
    factor: int = 1


class Backend(Protocol):
    """A reader of one file; `Slide` is what the rest of the program sees.

    ``reading`` says for people how pixels are read, and why so.
    """

    name: BackendName
    vendor: str
    levels: tuple[Level, ...]
    tile_sizes: tuple[tuple[int, int], ...]
    reading: str
    mpp: tuple[float, float] | None
    objective: float | None
    associated: tuple[str, ...]
    icc_profile: bytes | None

    def use_profile(self, apply: ToSrgb) -> None:
        """Give the colours of all levels by a transform from now on."""
        ...

    @property
    def tiles(self) -> TiffTiles | None:
        """The tiles, or None where only whole regions can be read."""
        ...

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


def choose_level(
    levels: tuple[Level, ...],
    downsample: float,
    factors: tuple[tuple[int, ...], ...] | None = None,
) -> Sampling:
    """Choose the coarsest pixels that are not coarser than `downsample` (within 1 %).

    Parameters
    ----------
    levels : tuple of Level
        What the file holds.
    downsample : float
        Level-0 pixels per pixel that is asked for.
    factors : tuple of tuple of int, optional
        By how much the tiles of each level can shrink while they are decoded. Among
        equals a stored level comes first, then the least shrinking.
    """
    steps = sorted({f for own in factors for f in own}) if factors else [1]
    best, finest = Sampling(0, levels[0].downsample), levels[0].downsample
    for factor in steps:
        for index, level in enumerate(levels):
            if factors and factor not in factors[index]:
                continue
            own = level.downsample * factor
            if own <= downsample * (1 + DIRECT_TOLERANCE) and (
                own > finest * (1 + DIRECT_TOLERANCE)
            ):
                best, finest = Sampling(index, own, factor), own
    if abs(finest / downsample - 1) <= DIRECT_TOLERANCE:
        return best
    return Sampling(best.level, downsample, best.factor)


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
