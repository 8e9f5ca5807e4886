"""Regions of a reader at any resolution: as stored, resized, or all of the slide."""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._levels import Sampling, choose_level, start_of
from napari_pathfm.slides._resample import BICUBIC, BOX, resample

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from napari_pathfm.slides._levels import Backend

# What to do with a file that is too large for what it is.
CONVERT = "convert it to a pyramid, for example with vips tiffsave --tile --pyramid"

# An overview of a slide without coarse levels decodes its coarsest level in full.
MAX_OVERVIEW_PIXELS = 400_000_000


def nearest(value: float) -> int:
    """Round half up, so that a region does not shift against its neighbour."""
    return math.floor(value + 0.5)


def factors_of(reader: Backend) -> tuple[tuple[int, ...], ...] | None:
    """By how much the tiles of each level can shrink while they are decoded."""
    return None if reader.tiles is None else reader.tiles.factors


def read_sampled(
    reader: Backend,
    x: float,
    y: float,
    width: int,
    height: int,
    sampling: Sampling,
    filter_: Image.Resampling = BICUBIC,
) -> NDArray[np.uint8]:
    """Read ``(height, width, 3)`` from level-0 ``(x, y)`` by a sampling chosen before.

    A level that is read as it is gives its stored pixels from the one nearest to ``(x,
    y)``. Otherwise the result begins at exactly ``(x, y)``.
    """
    own = reader.levels[sampling.level].downsample * sampling.factor
    if sampling.downsample == own:
        column, row = nearest(x / own), nearest(y / own)
        if reader.tiles is not None:
            return reader.tiles.stored(
                sampling.level, sampling.factor, column, row, width, height
            )
        start = start_of(column, own), start_of(row, own)
        return reader.read(sampling.level, *start, width, height)
    left, top, step = x / own, y / own, sampling.downsample / own
    box = (left, top, left + width * step, top + height * step)
    size = (width, height)
    return read_box(reader, sampling.level, box, size, filter_, sampling.factor)


def read_box(
    reader: Backend,
    level: int,
    box: tuple[float, float, float, float],
    size: tuple[int, int],
    filter_: Image.Resampling = BICUBIC,
    factor: int = 1,
) -> NDArray[np.uint8]:
    """Read ``(left, top, right, bottom)`` as ``(width, height)`` pixels.

    The box is in pixels of the level, shrunk by `factor` (backends with tiles only).
    """
    tiles = reader.tiles
    if tiles is None:
        own = reader.levels[level].downsample
        return resample(partial(reader.read, level), own, box, size, filter_)
    # Tiles are read from any pixel of the level, and no fraction of one comes up.
    return resample(partial(tiles.stored, level, factor), 1.0, box, size, filter_)


def read_whole(
    reader: Backend, size: tuple[int, int], *, name: str
) -> NDArray[np.uint8]:
    """Read all of the slide as ``(height, width, 3)`` for `size` = (width, height)."""
    sampling = overview_sampling(reader, reader.levels[0].width / size[0], name=name)
    level = reader.levels[sampling.level]
    if (level.width, level.height) == size:
        return reader.read(sampling.level, 0, 0, *size)
    factor = sampling.factor
    box = (0.0, 0.0, level.width / factor, level.height / factor)
    return read_box(reader, sampling.level, box, size, BOX, factor)


def overview_sampling(reader: Backend, downsample: float, *, name: str) -> Sampling:
    """Choose the level for a view of all of the slide.

    Raises
    ------
    SlideError
        Where that means decoding more than 400 million pixels.
    """
    sampling = choose_level(reader.levels, downsample, factors_of(reader))
    level = reader.levels[sampling.level]
    if level.width * level.height > MAX_OVERVIEW_PIXELS:
        raise SlideError(
            f"{name} has no level coarse enough for an overview (its nearest has "
            f"{level.width} x {level.height} pixels): {CONVERT}"
        )
    return sampling
