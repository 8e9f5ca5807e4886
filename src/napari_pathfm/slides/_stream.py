"""A stream of tiles: read ahead by threads, in order, within bounds."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._mosaic import Mosaic
from napari_pathfm.slides._regions import read_sampled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.slides._grid import TileGrid
    from napari_pathfm.slides._slide import Slide

    #: Called as ``on_error(index, x, y, error)`` for a tile that cannot be read.
    OnError = Callable[[int, int, int, SlideError], object]
    Tiles = Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]

# Batches read ahead of the one that the consumer holds.
_AHEAD = 2

# Decoding scales with cores, but a few threads keep any encoder busy.
_MAX_WORKERS = 8


class _Batch(NamedTuple):
    """Tiles ``start..stop`` of those chosen, under way."""

    start: int
    stop: int
    pixels: NDArray[np.uint8]
    # Each answers with the errors it met, by position in the batch.
    reads: list[Future[dict[int, SlideError]]]


class _Source(Protocol):
    """Where batches come from."""

    def start(self, start: int, stop: int) -> _Batch:
        """Have the pool read tiles ``start..stop`` of those chosen."""
        ...

    def finish(self, batch: _Batch) -> None:
        """Let go of what only this batch needed."""
        ...


def stream_tiles(
    slide: Slide,
    grid: TileGrid,
    *,
    batch: int,
    indices: Sequence[int] | NDArray[np.integer[Any]] | None,
    on_error: OnError | None = None,
    threads: int | None = None,
) -> Tiles:
    """Check the request and start the stream; see `Slide.tiles`."""
    if batch < 1:
        raise SlideError(f"a batch must hold at least one tile, not {batch}")
    if threads is not None and threads < 1:
        raise SlideError(f"at least one thread must read, not {threads}")
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
    workers = threads or min(_MAX_WORKERS, os.cpu_count() or 1)
    return _stream(slide, grid, batch, chosen, on_error, workers)


def _stream(
    slide: Slide,
    grid: TileGrid,
    size: int,
    chosen: NDArray[np.int64],
    on_error: OnError | None,
    workers: int,
) -> Tiles:
    """Keep some batches under way; nothing runs before the first is asked for."""
    pool = ThreadPoolExecutor(workers, thread_name_prefix="slide-tiles")
    source: _Source
    if slide.reader.tiles is None:
        source = _Regions(slide, grid, chosen, pool)
    else:
        source = _Mosaics(slide, grid, chosen, pool, workers)
    waiting: deque[_Batch] = deque()
    try:
        for first in range(0, len(chosen), size):
            waiting.append(source.start(first, min(first + size, len(chosen))))
            if len(waiting) > _AHEAD:
                yield from _finish(waiting.popleft(), source, grid, chosen, on_error)
        while waiting:
            yield from _finish(waiting.popleft(), source, grid, chosen, on_error)
    finally:
        # Also when the consumer closes the stream: no thread outlives it.
        pool.shutdown(wait=True, cancel_futures=True)


def _finish(
    batch: _Batch,
    source: _Source,
    grid: TileGrid,
    chosen: NDArray[np.int64],
    on_error: OnError | None,
) -> Tiles:
    """Wait for a batch and hand it out, less the tiles that cannot be read."""
    errors: dict[int, SlideError] = {}
    for read in batch.reads:
        errors |= read.result()
    source.finish(batch)
    indices = chosen[batch.start : batch.stop]
    if not errors:
        yield indices, batch.pixels
        return
    if on_error is None:
        # The tiles before the error come first.
        done = min(errors)
        if done:
            yield indices[:done], batch.pixels[:done]
        raise errors[done]
    for position in sorted(errors):
        index = int(indices[position])
        x, y = grid.coords[index].tolist()
        on_error(index, x, y, errors[position])
    good = np.ones(len(indices), bool)
    good[list(errors)] = False
    if good.any():
        yield indices[good], batch.pixels[good]


class _Regions:
    """Tiles as regions of their own, for readers that give nothing else."""

    def __init__(
        self,
        slide: Slide,
        grid: TileGrid,
        chosen: NDArray[np.int64],
        pool: ThreadPoolExecutor,
    ) -> None:
        self._reader, self._sampling = slide.reader, slide.sampling(grid.mpp)
        self._grid, self._chosen, self._pool = grid, chosen, pool

    def start(self, start: int, stop: int) -> _Batch:
        px = self._grid.px
        pixels = np.empty((stop - start, px, px, 3), np.uint8)
        reads = [
            self._pool.submit(self._read, position, index, pixels[position])
            for position, index in enumerate(self._chosen[start:stop].tolist())
        ]
        return _Batch(start, stop, pixels, reads)

    def _read(
        self, position: int, index: int, place: NDArray[np.uint8]
    ) -> dict[int, SlideError]:
        x, y = self._grid.coords[index].tolist()
        px = self._grid.px
        try:
            place[:] = read_sampled(self._reader, x, y, px, px, self._sampling)
        except SlideError as error:
            return {position: error}
        return {}

    def finish(self, batch: _Batch) -> None:
        """Nothing was held."""


class _Mosaics:
    """Tiles put together from slide tiles that are decoded once each."""

    def __init__(
        self,
        slide: Slide,
        grid: TileGrid,
        chosen: NDArray[np.int64],
        pool: ThreadPoolExecutor,
        workers: int,
    ) -> None:
        tiles = slide.reader.tiles
        assert tiles is not None
        sampling = slide.sampling(grid.mpp)
        own = slide.levels[sampling.level].downsample
        corners = grid.coords[chosen]
        self._mosaic = Mosaic(tiles, sampling, own, grid.px, corners)
        self._px, self._pool, self._workers = grid.px, pool, workers

    def start(self, start: int, stop: int) -> _Batch:
        self._mosaic.shed()
        wanted = self._mosaic.wanted(start, stop)
        # Several runs through the file, so that every thread has one.
        share = -(-len(wanted) // self._workers) or 1
        fetches = [
            self._pool.submit(self._mosaic.fetch, wanted[i : i + share])
            for i in range(0, len(wanted), share)
        ]
        pixels = np.empty((stop - start, self._px, self._px, 3), np.uint8)
        # The pool takes work in order: whoever waits here waits for what runs already.
        half = -(-(stop - start) // self._workers)
        reads = [
            self._pool.submit(self._place, fetches, start, a, pixels[a : a + half])
            for a in range(0, stop - start, half)
        ]
        return _Batch(start, stop, pixels, reads)

    def _place(
        self,
        fetches: list[Future[None]],
        start: int,
        first: int,
        places: NDArray[np.uint8],
    ) -> dict[int, SlideError]:
        for fetch in fetches:
            fetch.result()
        errors: dict[int, SlideError] = {}
        for position, place in enumerate(places, start=first):
            try:
                self._mosaic.tile(start + position, place)
            except SlideError as error:
                errors[position] = error
        return errors

    def finish(self, batch: _Batch) -> None:
        """Let go of the slide tiles that no later batch needs."""
        self._mosaic.release(batch.start, batch.stop)
