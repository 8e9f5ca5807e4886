"""Resizing without losing the place: a float region of a level becomes whole pixels."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from PIL import Image

from napari_pathfm.slides._levels import position, start_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

BICUBIC = Image.Resampling.BICUBIC
BOX = Image.Resampling.BOX

# Half the width of each filter, in output pixels (Pillow widens it when shrinking).
_SUPPORT = {BICUBIC: 2.0, BOX: 0.5}

# Source pixels held at once. A larger region is worked through in bands of rows, which
# gives the same pixels because the filter sees a margin on every side.
BAND_PIXELS = 16_000_000


class _Read(Protocol):
    def __call__(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        """Read a region of one level that starts at level-0 ``(x, y)``."""
        ...


def resample(
    read: _Read,
    downsample: float,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    filter_: Image.Resampling = BICUBIC,
) -> NDArray[np.uint8]:
    """Read a region of a level and resize it.

    Parameters
    ----------
    read : callable
        Reads ``(height, width, 3)`` uint8 of the level from level-0 ``(x, y)``.
    downsample : float
        The level's downsample.
    box : (float, float, float, float)
        ``(left, top, right, bottom)`` in pixels of the level, corner origin.
    size : (int, int)
        ``(width, height)`` of the result in pixels.
    filter_ : Image.Resampling
        ``BICUBIC`` (antialiased) or ``BOX`` (area mean).

    Returns
    -------
    uint8 array, shape (height, width, 3)
        Output pixel ``(i, j)`` covers exactly its share of `box`, whatever the
        fractions.
    """
    left, top, right, bottom = box
    width, height = size
    scale_x, scale_y = (right - left) / width, (bottom - top) / height
    margin_x, margin_y = _margin(scale_x, filter_), _margin(scale_y, filter_)

    def span(low: float, high: float, margin: int) -> tuple[int, int, float]:
        """Give start (level 0), pixels to read, and where the read begins (level)."""
        start = start_of(math.floor(low) - margin, downsample)
        begin = position(start, downsample)
        return start, math.ceil(high - begin) + margin, begin

    x, columns, begin_x = span(left, right, margin_x)
    rows_at_once = max(1.0, BAND_PIXELS / columns - 2 * margin_y)
    band = max(1, min(height, int(rows_at_once / scale_y)))
    result = np.empty((height, width, 3), np.uint8)
    for first in range(0, height, band):
        last = min(first + band, height)
        upper, lower = top + first * scale_y, top + last * scale_y
        y, rows, begin_y = span(upper, lower, margin_y)
        image = Image.fromarray(read(x, y, columns, rows))
        within = (left - begin_x, upper - begin_y, right - begin_x, lower - begin_y)
        resized = image.resize((width, last - first), filter_, box=within)
        result[first:last] = np.asarray(resized)
    return result


def extent(
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    filter_: Image.Resampling = BICUBIC,
) -> tuple[int, int, int, int]:
    """Tell what `resample` reads of a level whose pixels it may begin at.

    Returns
    -------
    (int, int, int, int)
        ``(column, row, width, height)``, for a region that is no larger than a band.
    """
    left, top, right, bottom = box
    margin_x = _margin((right - left) / size[0], filter_)
    margin_y = _margin((bottom - top) / size[1], filter_)
    column, row = math.floor(left) - margin_x, math.floor(top) - margin_y
    return (
        column,
        row,
        math.ceil(right - column) + margin_x,
        math.ceil(bottom - row) + margin_y,
    )


def _margin(scale: float, filter_: Image.Resampling) -> int:
    """Pixels beyond the box that the filter sees."""
    return math.ceil(_SUPPORT[filter_] * max(scale, 1.0)) + 1
