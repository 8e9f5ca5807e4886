"""A virtual slide as Dask arrays, each level half as large as the one before."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import dask.array as da
    from numpy.typing import NDArray

    from napari_pathfm.synthesis._virtual import VirtualSlide


class _Chunks:
    """What `dask.array.from_array` slices: chunk by chunk, one at a time."""

    def __init__(self, virtual: VirtualSlide) -> None:
        self.shape = (*virtual.shape, 3)
        self.dtype = np.dtype(np.uint8)
        self.ndim = 3
        self._virtual = virtual
        # A network computes one thing at a time.
        self._lock = threading.Lock()

    def __getitem__(self, key: tuple[slice, slice, slice]) -> NDArray[np.uint8]:
        rows, columns, _ = key
        with self._lock:
            return self._virtual.read(
                columns.start,
                rows.start,
                columns.stop - columns.start,
                rows.stop - rows.start,
            )


def pyramid_of(
    virtual: VirtualSlide,
    part: tuple[int, int, int, int] | None,
    coarsest: int,
) -> list[da.Array]:
    """Give all levels, uint8 ``(h, w, 3)``; see `VirtualSlide.pyramid`."""
    import dask.array as da

    side = virtual.chunk_px
    from_array: Any = da.from_array  # not typed
    level = from_array(
        _Chunks(virtual), chunks=(side, side, 3), name=False, asarray=False, fancy=False
    )
    if part is not None:
        x, y, width, height = part
        level = level[y : y + height, x : x + width].rechunk((side, side, 3))
    levels = [level]
    while max(level.shape[:2]) > coarsest:
        halves = [tuple(-(-n // 2) for n in axis) for axis in level.chunks[:2]]
        level = level.map_blocks(
            halved, chunks=(*halves, (3,)), dtype=np.uint8
        ).rechunk((side, side, 3))
        levels.append(level)
    return levels


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Mean of each block of two by two, rounded; at an odd edge of what there is."""
    odd = [(0, n % 2) for n in pixels.shape[:2]]
    even = np.pad(pixels, (*odd, (0, 0)), mode="edge").astype(np.uint16)
    total = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    mean: NDArray[np.uint8] = ((total + 2) // 4).astype(np.uint8)
    return mean
