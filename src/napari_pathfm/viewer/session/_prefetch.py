"""What lies around the view is read before anybody looks there; no Qt.

napari reads what it shows when it has to show it, on the window's own thread unless a
person has switched asynchronous slicing on. What has been decoded before lies in the
slide's cache, and a read that finds it there takes a fraction of the time. So one
thread reads ahead: the ring of chunks around the view first, then what a zoom would
show.
"""

from __future__ import annotations

import math
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from napari_pathfm.viewer._metadata import kind_of
from napari_pathfm.viewer.session._shown import in_view

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.components import ViewerModel
    from napari.layers import Image

    from napari_pathfm.slides import LevelArray

# Chunks of the next finer level are four times as many as are in view: only the middle
# of the view is read ahead of a zoom.
_ZOOM_SHARE = 0.5

# Reading begins when the view has stood still for so long: while it moves every
# processor belongs to what is being shown.
_STILL_S = 0.15


class Chunk(NamedTuple):
    """One block of a level."""

    level: int
    row: int
    column: int


class Prefetch:
    """Reads ahead for the slides of one viewer, as the camera moves.

    Parameters
    ----------
    viewer : ViewerModel
        Whose camera and layers are watched.
    threaded : bool
        Whether a thread reads; tests look at `wanted` alone.
    """

    def __init__(self, viewer: ViewerModel, *, threaded: bool = True) -> None:
        self._viewer = viewer
        self._condition = threading.Condition()
        self._todo: list[tuple[LevelArray, Chunk]] = []
        self._still_at = 0.0
        self._busy = False
        self._closed = False
        camera = viewer.scene.camera
        camera.events.center.connect(self._on_view)
        camera.events.zoom.connect(self._on_view)
        self._thread: threading.Thread | None = None
        if threaded:
            self._thread = threading.Thread(
                target=self._work, name="slide-prefetch", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Let go of the viewer and end the thread, after the chunk it is at."""
        if self._closed:
            return
        camera = self._viewer.scene.camera
        camera.events.center.disconnect(self._on_view)
        camera.events.zoom.disconnect(self._on_view)
        with self._condition:
            self._closed = True
            self._todo = []
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(timeout=5)

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to read."""
        with self._condition:
            return not self._todo and not self._busy

    def wanted(self, layer: Image) -> list[Chunk]:
        """Tell which chunks to read ahead for a slide, the most urgent first."""
        view = in_view(self._viewer, layer)
        level = int(layer.data_level)
        last = len(layer.data) - 1
        if view is None or level >= last:
            return []
        shown = _blocks(layer, level, view)
        ring = _blocks(layer, level, view, grow=1)
        found = [chunk for chunk in ring if chunk not in set(shown)]
        if level > 0:
            found += _blocks(layer, level - 1, _middle(view, _ZOOM_SHARE))
        if level + 1 < last:
            found += _blocks(layer, level + 1, _middle(view, 2))
        return found

    def _on_view(self) -> None:
        slides = [
            layer
            for layer in self._viewer.layers
            if kind_of(layer) == "slide" and layer.visible
        ]
        todo = [
            (layer.data[chunk.level], chunk)
            for layer in slides
            for chunk in self.wanted(layer)
        ]
        with self._condition:
            # What an earlier view wanted, and nobody has begun, is forgotten.
            self._todo = todo[::-1]
            self._still_at = time.monotonic() + _STILL_S
            self._condition.notify()

    def _ready(self) -> bool:
        return bool(self._todo) and time.monotonic() >= self._still_at

    def _work(self) -> None:
        while True:
            with self._condition:
                self._busy = False
                while not self._closed and not self._ready():
                    wait = self._still_at - time.monotonic() if self._todo else None
                    self._condition.wait(wait)
                if self._closed:
                    return
                array, chunk = self._todo.pop()
                self._busy = True
            _read(array, chunk)


def _read(array: LevelArray, chunk: Chunk) -> None:
    """Have a chunk decoded: its tiles stay in the slide's cache, the result goes."""
    from napari_pathfm.errors import SlideError

    try:
        array.read_chunk(chunk.row, chunk.column)
    except SlideError:
        # Damaged, or closed meanwhile: whoever looks there is told.
        return


def _middle(
    view: tuple[float, float, float, float], share: float
) -> tuple[float, float, float, float]:
    """Shrink or grow a view around its middle."""
    top, left, bottom, right = view
    row, column = (top + bottom) / 2, (left + right) / 2
    down, across = (bottom - top) / 2 * share, (right - left) / 2 * share
    return row - down, column - across, row + down, column + across


def _blocks(
    layer: Image,
    level: int,
    view: tuple[float, float, float, float],
    grow: int = 0,
) -> list[Chunk]:
    """Chunks of a level that a view of level 0 touches, `grow` more on each side."""
    array = layer.data[level]
    whole = layer.data[0].shape
    spans = []
    for axis in (0, 1):
        shrink = array.shape[axis] / whole[axis]
        low, high = view[axis] * shrink, view[axis + 2] * shrink
        spans.append(_span(array.chunks[axis], low, high, grow))
    return [Chunk(level, i, j) for i in spans[0] for j in spans[1]]


def _span(chunks: Sequence[int], low: float, high: float, grow: int) -> range:
    """Numbers of the chunks between two places of an axis; none beyond its ends."""
    side, count = chunks[0], len(chunks)
    if high <= 0 or low >= sum(chunks):
        return range(0)
    first = max(0, math.floor(low / side) - grow)
    last = min(count - 1, math.ceil(high / side) - 1 + grow)
    return range(first, last + 1)
