"""Which chunks of a virtual slide are made next: what is in view, the middle first."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from napari_pathfm.errors import Cancelled
from napari_pathfm.viewer.session._shown import in_view

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_pathfm.synthesis import Chunk, VirtualSlide
    from napari_pathfm.viewer.session._jobs import Job
    from napari_pathfm.viewer.session._virtual_levels import VirtualLevels


def chunks_in_view(
    viewer: ViewerModel, layer: Image, virtual: VirtualSlide
) -> list[Chunk]:
    """Find the chunks that the canvas shows, the nearest to its middle first."""
    from napari_pathfm.synthesis import Chunk

    view = in_view(viewer, layer)
    if view is None or not layer.visible:
        return []
    side = virtual.chunk_px
    spans = []
    for axis in (0, 1):
        low, high = view[axis] // side, view[axis + 2] // side
        last = virtual.chunks[axis] - 1
        spans.append(range(max(0, int(low)), min(last, int(high)) + 1))
    middle = [(view[axis] + view[axis + 2]) / 2 / side - 0.5 for axis in (0, 1)]

    def away(chunk: Chunk) -> float:
        down, across = chunk.row - middle[0], chunk.column - middle[1]
        return float(down**2 + across**2)

    found = [Chunk(row, column) for row in spans[0] for column in spans[1]]
    return sorted(found, key=away)


class ChunkQueue:
    """Chunks to be made: the window says which, a worker takes them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted: list[Chunk] = []
        self._in_view: set[Chunk] = set()

    def set(self, visible: Iterable[Chunk], wanted: Iterable[Chunk]) -> None:
        """Say what is in view now, and what of it is to be made, in that order."""
        with self._lock:
            self._in_view, self._wanted = set(visible), list(wanted)

    def clear(self) -> None:
        """Nothing more is to be made."""
        with self._lock:
            self._wanted = []

    def worker(self, levels: VirtualLevels) -> Callable[[Job], None]:
        """Give the work of making chunks for as long as any are wanted."""

        def work(job: Job) -> None:
            done = 0
            while (chunk := self._next()) is not None and not job.cancelled():
                with self._lock:
                    left = len(self._wanted)
                job.report(done, done + left + 1)
                pixels = self._made(levels.virtual, chunk, job)
                if pixels is not None:
                    levels.put(chunk, pixels)
                    done += 1
                    job.publish(chunk)

        return work

    def _next(self) -> Chunk | None:
        with self._lock:
            return self._wanted.pop(0) if self._wanted else None

    def _made(
        self, virtual: VirtualSlide, chunk: Chunk, job: Job
    ) -> NDArray[np.uint8] | None:
        """Make a chunk, unless the view leaves it meanwhile."""

        def go_on(*_step: object) -> bool:
            with self._lock:
                return chunk in self._in_view and not job.cancelled()

        try:
            return virtual.make(chunk, go_on)
        except Cancelled:
            if job.cancelled():
                raise
            return None
