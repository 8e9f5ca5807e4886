"""Tiles encoded on a thread of their own, ahead of whoever writes them down."""

from __future__ import annotations

import threading
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_pathfm.embeddings._store import FailedTile
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder, Features
    from napari_pathfm.slides import Slide, TileGrid

# Encoded batches that wait to be written, at most; those that do are written together.
# To be sure of a disk takes tens of milliseconds, in which a graphics card encodes
# several batches.
AHEAD = 8


class Encoded(NamedTuple):
    """A batch on its way to the store.

    Attributes
    ----------
    rows : ndarray
        int64 ``(N,)``: the store's rows that `features` are of.
    features : Features or None
        None where no tile could be read.
    failed : sequence of FailedTile
        Those that could not.
    """

    rows: NDArray[np.int64]
    features: Features | None
    failed: Sequence[FailedTile]


def encode_ahead(
    slide: Slide,
    encoder: Encoder,
    grid: TileGrid,
    rows: NDArray[np.int64],
    *,
    batch: int,
    patches: bool,
) -> Generator[Encoded, None, None]:
    """Encode tiles in the order of `rows` while the caller writes those before.

    The slide's own threads decode ahead, one thread encodes, the caller's thread writes
    and reports. What was encoded while it did comes together. When the generator is
    closed all of them end.

    Parameters
    ----------
    slide, encoder, grid : Slide, Encoder, TileGrid
        What to encode, and with what.
    rows : ndarray
        int64 ``(N,)``: which tiles of the grid.
    batch : int
        Tiles at a time.
    patches : bool
        Whether patch tokens are wanted; those that are not are let go at once.

    Raises
    ------
    SlideError
        If the slide has gone or changed since it was opened.
    """
    queue: Queue[Encoded | BaseException | None] = Queue(AHEAD)
    stop = threading.Event()

    def put(item: Encoded | BaseException | None) -> None:
        while not stop.is_set():
            try:
                queue.put(item, timeout=0.1)
            except Full:
                continue
            return

    def work() -> None:
        try:
            for encoded in encode_rows(
                slide, encoder, grid, rows, batch=batch, patches=patches
            ):
                put(encoded)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 raised again in the caller's thread
            put(error)
        else:
            put(None)

    thread = threading.Thread(target=work, name="encode-ahead", daemon=True)
    thread.start()
    try:
        item = _next(queue)
        while item is not None:
            if isinstance(item, BaseException):
                raise item
            waiting = [item]
            while isinstance(item := _waiting(queue), Encoded):
                waiting.append(item)
                if len(waiting) == AHEAD:
                    item = _NOTHING
                    break
            yield _together(waiting)
            if item is _NOTHING:
                item = _next(queue)
    finally:
        stop.set()
        thread.join()


# Stands for an empty queue, in which None is the end.
_NOTHING = Empty()


def _waiting(
    queue: Queue[Encoded | BaseException | None],
) -> Encoded | BaseException | None:
    try:
        return queue.get_nowait()
    except Empty:
        return _NOTHING


def _together(batches: Sequence[Encoded]) -> Encoded:
    """Make one batch of several."""
    from napari_pathfm.encoders import Features

    if len(batches) == 1:
        return batches[0]
    parts = [batch.features for batch in batches if batch.features is not None]
    features = None
    if parts:
        features = Features(
            np.concatenate([part.cls for part in parts]),
            np.concatenate([part.patches for part in parts]),
            np.concatenate([part.pooled for part in parts]),
        )
    return Encoded(
        np.concatenate([batch.rows for batch in batches]),
        features,
        [tile for batch in batches for tile in batch.failed],
    )


def _next(
    queue: Queue[Encoded | BaseException | None],
) -> Encoded | BaseException | None:
    # In short waits, so that Ctrl+C is heard on Windows too.
    while True:
        try:
            return queue.get(timeout=0.5)
        except Empty:
            continue


def encode_rows(
    slide: Slide,
    encoder: Encoder,
    grid: TileGrid,
    rows: NDArray[np.int64],
    *,
    batch: int,
    patches: bool,
) -> Generator[Encoded, None, None]:
    """Encode tiles, one batch after the other, in this thread.

    Raises
    ------
    SlideError
        If the slide has gone or changed since it was opened.
    """
    failed: list[FailedTile] = []
    size = _size(slide)

    def note(row: int, x: int, y: int, error: SlideError) -> None:
        # Of a slide that is gone every tile fails, and none of them is at fault.
        if _size(slide) != size or size is None:
            raise SlideError(
                f"{slide.path} has gone or changed while it was read: bring it back "
                "and run again; what is done is kept"
            ) from error
        failed.append(FailedTile(row, x, y, str(error)))

    tiles = slide.tiles(grid, batch=batch, indices=rows, on_error=note)
    for index, pixels in tiles:
        listed, failed[:] = tuple(failed), []
        yield Encoded(index, encoder.encode(pixels, patches=patches), listed)
    if failed:
        yield Encoded(rows[:0], None, tuple(failed))


def _size(slide: Slide) -> int | None:
    """Bytes of the slide's file, or None where it cannot be reached."""
    try:
        with slide.path.open("rb") as file:
            file.read(1)
            return slide.path.stat().st_size
    except IsADirectoryError:
        return 0
    except OSError:
        return None
