"""A stream of tiles: read ahead by threads, in order, within bounds."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._regions import read_sampled

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.slides._grid import TileGrid
    from napari_pathfm.slides._levels import Sampling
    from napari_pathfm.slides._slide import Slide

# Batches read ahead of the one that the consumer holds.
_AHEAD = 2

# Decoding scales with cores, but a few threads keep any encoder busy.
_MAX_WORKERS = 8


class _Batch(NamedTuple):
    indices: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    reads: list[Future[None]]


def stream_tiles(
    slide: Slide,
    grid: TileGrid,
    *,
    batch: int,
    indices: Sequence[int] | NDArray[np.integer[Any]] | None,
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Check the request and start the stream; see `Slide.tiles`."""
    if batch < 1:
        raise SlideError(f"a batch must hold at least one tile, not {batch}")
    sampling = slide.sampling(grid.mpp)
    if not np.isclose(grid.px * sampling.downsample, grid.tile_size, rtol=1e-6):
        raise SlideError(
            f"the tile grid was not made for {slide.path.name} at {slide.mpp} um per "
            "pixel: make it again"
        )
    count = len(grid.coords)
    chosen = (
        np.arange(count, dtype=np.int64)
        if indices is None
        else np.asarray(indices, dtype=np.int64).reshape(-1)
    )
    if chosen.size and not (chosen.min() >= 0 and chosen.max() < count):
        raise SlideError(
            f"the grid has tiles 0 to {count - 1}, not all that were asked for"
        )
    return _stream(slide, grid, sampling, batch, chosen)


def _stream(
    slide: Slide,
    grid: TileGrid,
    sampling: Sampling,
    size: int,
    chosen: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Keep some batches under way; nothing runs before the first is asked for."""
    workers = min(_MAX_WORKERS, os.cpu_count() or 1)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="slide-tiles")

    def read(index: int, place: NDArray[np.uint8]) -> None:
        x, y = grid.coords[index].tolist()
        place[:] = read_sampled(slide.reader, x, y, grid.px, grid.px, sampling)

    def start(first: int) -> _Batch:
        part = chosen[first : first + size]
        pixels = np.empty((len(part), grid.px, grid.px, 3), np.uint8)
        reads = [
            pool.submit(read, index, place)
            for index, place in zip(part.tolist(), pixels, strict=True)
        ]
        return _Batch(part, pixels, reads)

    starts = iter(range(0, len(chosen), size))
    waiting: deque[_Batch] = deque()
    try:
        for first in starts:
            waiting.append(start(first))
            if len(waiting) > _AHEAD:
                yield from _finish(waiting.popleft())
        while waiting:
            yield from _finish(waiting.popleft())
    finally:
        # Also when the consumer closes the stream: no thread outlives it.
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(batch: _Batch) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Wait for a batch; before an error come the tiles that precede it."""
    for done, future in enumerate(batch.reads):
        error = future.exception()
        if error is not None:
            if done:
                yield batch.indices[:done], batch.pixels[:done]
            raise error
    yield batch.indices, batch.pixels
