"""A level of the pyramid as a Dask array that can also be read without Dask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import dask.array as da

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray


class LevelArray(da.Array):
    """A Dask array whose chunks are read by one function.

    napari's cache of Dask results takes one computation at a time; whoever reads ahead
    in a thread of its own goes by `read_chunk`, and finds the same cache of tiles.
    """

    __slots__ = ("_read",)
    _read: Callable[[tuple[int, ...]], NDArray[np.uint8]]

    @classmethod
    def of(
        cls, array: da.Array, read: Callable[[tuple[int, ...]], NDArray[np.uint8]]
    ) -> LevelArray:
        """Make one of a Dask array and the function behind its chunks."""
        made: LevelArray = cls(array.dask, array.name, array.chunks, meta=array._meta)
        made._read = read
        return made

    def read_chunk(self, row: int, column: int) -> NDArray[np.uint8]:
        """Read one chunk, uint8 ``(h, w, 3)``.

        Raises
        ------
        SlideError
            It is damaged, or the slide is closed.
        """
        return self._read((row, column, 0))
