"""The slide as napari likes it: lazy levels in steps of two, the last one in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.slides._levels import start_of
from napari_pathfm.slides._regions import factors_of, read_box, read_whole
from napari_pathfm.slides._resample import BOX

if TYPE_CHECKING:
    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.slides._slide import Slide

# napari reads its coarsest level on the GUI thread, so that one must be small and at
# hand.
COARSEST_PIXELS = 1024

# Chunks are whole slide tiles, as many as fit between these sides: fewer, larger chunks
# cost dask less, smaller ones show sooner.
_CHUNK_MIN, _CHUNK_MAX = 512, 1024

# Change with anything that changes the pixels of a level, so that caches forget the
# old.
_VERSION = 1


@dataclass(frozen=True)
class PyramidLevel:
    """One level that napari sees.

    Attributes
    ----------
    width, height : int
        Its size in pixels; napari places the level by these.
    source : int
        The level of the file that its pixels come from.
    stored : bool
        Whether it is that level, rather than an area mean of it.
    """

    width: int
    height: int
    source: int
    stored: bool


def plan_levels(slide: Slide) -> list[PyramidLevel]:
    """Decide which levels there are, from full size to at most 1024 px."""
    width, height = slide.dimensions
    plan = [PyramidLevel(width, height, 0, stored=True)]

    def fill(source: int, until: float) -> None:
        """Add means of `source` in steps of two while they stay clear of `until`."""
        step = slide.levels[source].downsample * 2
        while step * math.sqrt(2) < until and not _ends(plan[-1]):
            size = max(1, round(width / step)), max(1, round(height / step))
            if size[0] >= plan[-1].width and size[1] >= plan[-1].height:
                return
            plan.append(PyramidLevel(*size, source, stored=False))
            step *= 2

    for index, level in enumerate(slide.levels[1:], start=1):
        fill(index - 1, level.downsample)
        if _ends(plan[-1]):
            break
        if level.width >= plan[-1].width or level.height >= plan[-1].height:
            continue
        plan.append(PyramidLevel(level.width, level.height, index, stored=True))
    else:
        fill(len(slide.levels) - 1, math.inf)
    return plan


def _ends(level: PyramidLevel) -> bool:
    return max(level.width, level.height) <= COARSEST_PIXELS


def read_coarsest(slide: Slide) -> NDArray[np.uint8]:
    """Read the last level, which is held in memory."""
    last = plan_levels(slide)[-1]
    return read_whole(slide.reader, (last.width, last.height), name=slide.path.name)


def build_pyramid(slide: Slide, coarsest: NDArray[np.uint8]) -> list[da.Array]:
    """Make the lazy arrays of `Slide.pyramid`, `coarsest` being the last."""
    import dask.array as da
    import numpy as np

    from napari_pathfm.slides._lazy import LevelArray

    plan = plan_levels(slide)
    arrays: list[da.Array] = []
    for index, level in enumerate(plan[:-1]):
        side_x, side_y = _chunk(slide, level)
        block = _Block(slide, level, side_x, side_y)
        # Not from_delayed, which costs twice as much a chunk; and named by us, since
        # hashing a slide would mean hashing an open file.
        array = da.map_blocks(  # type: ignore[no-untyped-call]
            block,
            name=_name(slide, index, level),
            chunks=(
                _split(level.height, side_y),
                _split(level.width, side_x),
                (3,),
            ),
            dtype=np.uint8,
            meta=np.empty((0, 0, 0), np.uint8),
        )
        arrays.append(LevelArray.of(array, block))
    last = plan[-1]
    arrays.append(
        da.from_array(  # type: ignore[no-untyped-call]
            coarsest, chunks=-1, name=_name(slide, len(plan) - 1, last)
        )
    )
    return arrays


class _Block:
    """Reads one chunk of a level; what the tasks of the graph call."""

    def __init__(
        self, slide: Slide, level: PyramidLevel, side_x: int, side_y: int
    ) -> None:
        self._slide = slide
        self._level = level
        self._side_x = side_x
        self._side_y = side_y

    def __call__(self, block_id: tuple[int, ...]) -> NDArray[np.uint8]:
        level, slide = self._level, self._slide
        x, y = block_id[1] * self._side_x, block_id[0] * self._side_y
        width = min(self._side_x, level.width - x)
        height = min(self._side_y, level.height - y)
        own = slide.levels[level.source]
        if level.stored:
            start = start_of(x, own.downsample), start_of(y, own.downsample)
            return slide.reader.read(level.source, *start, width, height)
        # The whole level is spread over the whole slide, as napari spreads it.
        scale_x, scale_y = own.width / level.width, own.height / level.height
        factor = 1
        if (factors := factors_of(slide.reader)) is not None:
            near = max(1, round(scale_x))
            factor = near if near in factors[level.source] else 1
            if scale_x == scale_y == factor:
                tiles = slide.reader.tiles
                assert tiles is not None
                return tiles.stored(level.source, factor, x, y, width, height)
        scale_x, scale_y = scale_x / factor, scale_y / factor
        box = (x * scale_x, y * scale_y, (x + width) * scale_x, (y + height) * scale_y)
        return read_box(slide.reader, level.source, box, (width, height), BOX, factor)


def _chunk(slide: Slide, level: PyramidLevel) -> tuple[int, int]:
    """Group slide tiles into chunks ``(width, height)`` of this level's pixels."""
    sides = slide.reader.tile_sizes[level.source]
    if level.stored:
        return _largest(sides[0], 1), _largest(sides[1], 1)
    factor = max(1, round(slide.levels[level.source].width / level.width))
    return _smallest(sides[0], factor), _smallest(sides[1], factor)


def _largest(tile: int, factor: int) -> int:
    """Give the longest side of whole tiles that is not too long."""
    fits = range(_CHUNK_MAX, _CHUNK_MIN - 1, -1)
    return next((side for side in fits if side * factor % tile == 0), _CHUNK_MAX)


def _smallest(tile: int, factor: int) -> int:
    """Give the shortest side of whole tiles: a chunk reads `factor` times as far."""
    fits = range(_CHUNK_MIN, _CHUNK_MAX + 1)
    return next((side for side in fits if side * factor % tile == 0), _CHUNK_MIN)


def _split(length: int, side: int) -> tuple[int, ...]:
    whole, rest = divmod(length, side)
    return (side,) * whole + ((rest,) if rest else ())


def _name(slide: Slide, index: int, level: PyramidLevel) -> str:
    return (
        f"slide-{slide.fingerprint}-{slide.backend}{'-icc' * slide.icc_applied}-"
        f"v{_VERSION}-{index}-"
        f"{level.width}x{level.height}"
    )
