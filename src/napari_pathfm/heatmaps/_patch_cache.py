"""Patch vectors of the tiles looked at last, within so many bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

#: Of an encoder of 768 numbers a patch, 256 patches a tile: 1,300 tiles.
PATCH_CACHE_BYTES = 512 << 20


class PatchCache:
    """Arrays by owner and row; the least recently used go first. Threads may share it.

    Parameters
    ----------
    limit : int
        Bytes of arrays that are kept. One that is larger alone is not kept at all.
    """

    def __init__(self, limit: int = PATCH_CACHE_BYTES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Hashable, int], NDArray[Any]] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes that are kept now."""
        return self._bytes

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self._kept)

    def get(self, owner: Hashable, row: int) -> NDArray[Any] | None:
        """Give a tile's array, or None; it counts as used."""
        with self._lock:
            found = self._kept.get((owner, row))
            if found is not None:
                self._kept.move_to_end((owner, row))
            return found

    def put(self, owner: Hashable, row: int, array: NDArray[Any]) -> None:
        """Keep a tile's array, and let go of others where it needs room."""
        with self._lock:
            self._let_go((owner, row))
            if array.nbytes > self._limit:
                return
            self._kept[owner, row] = array
            self._bytes += array.nbytes
            while self._bytes > self._limit:
                self._let_go(next(iter(self._kept)))

    def drop(self, owner: Hashable) -> None:
        """Let go of all that belongs to an owner."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == owner]:
                self._let_go(key)

    def _let_go(self, key: tuple[Hashable, int]) -> None:
        array = self._kept.pop(key, None)
        if array is not None:
            self._bytes -= array.nbytes
