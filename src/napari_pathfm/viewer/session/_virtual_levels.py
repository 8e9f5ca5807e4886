"""A virtual slide as napari sees it: what is made so far, at once, whatever is asked.

napari slices on the window's own thread, so nothing here computes: what is not made yet
is a plain colour.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.synthesis import Chunk, VirtualSlide

#: Where tissue is still to be made: paler than any stain, darker than glass.
TO_COME = (226, 220, 228)
# Levels below the finest that a chunk is kept at, each half of the one before.
_HALVINGS = 3
# The coarsest level is drawn into as chunks are made; it is at most this wide and high.
_OVERVIEW = 1024
# Bytes of made chunks in memory.
_LIMIT = 256 * 2**20


class VirtualLevels:
    """The chunks of a virtual slide that are in memory, and the levels they make.

    Parameters
    ----------
    virtual : VirtualSlide

    Attributes
    ----------
    levels : list of VirtualLevel
        All but the coarsest.
    """

    def __init__(self, virtual: VirtualSlide) -> None:
        from napari_pathfm.slides import TileCache

        self.virtual = virtual
        self._cache = TileCache(_LIMIT)
        side, (height, width) = virtual.chunk_px, virtual.shape
        self.levels: list[VirtualLevel] = []
        for steps in range(_HALVINGS + 1):
            shape = (math.ceil(height / 2**steps), math.ceil(width / 2**steps))
            if steps and (side % 2**steps or max(shape) <= _OVERVIEW):
                break
            self.levels.append(VirtualLevel(self, steps, shape, side >> steps))
        self._shrink = max(2.0, max(height, width) / _OVERVIEW)
        rows, columns = (
            (np.arange(math.ceil(n / self._shrink)) + 0.5) * self._shrink
            for n in (height, width)
        )
        self._overview = virtual.plan(rows, columns, TO_COME)

    @property
    def data(self) -> list[Any]:
        """The levels of the pyramid, the coarsest last.

        That one is a plain array, changed where it is: napari asks for it once.
        """
        return [*self.levels, self._overview]

    def has(self, chunk: Chunk) -> bool:
        """Whether a chunk is in memory."""
        return self._cache.get((0, chunk)) is not None

    def put(self, chunk: Chunk, pixels: NDArray[np.uint8]) -> None:
        """Take up a chunk that is made; from any thread."""
        from napari_pathfm.synthesis import halved

        # The finest last: where it is, all are.
        sizes = [pixels]
        while len(sizes) < len(self.levels):
            sizes.append(halved(sizes[-1]))
        self._draw(chunk, sizes[-1])
        for steps, part in reversed(list(enumerate(sizes))):
            self._cache.put((steps, chunk), part)

    def read(self, steps: int, top: int, left: int, height: int, width: int) -> Any:
        """Put together a part of a level, uint8 ``(height, width, 3)``."""
        from napari_pathfm.synthesis import Chunk

        out = np.empty((height, width, 3), np.uint8)
        side = self.virtual.chunk_px >> steps
        for row in range(top // side, (top + height - 1) // side + 1):
            for column in range(left // side, (left + width - 1) // side + 1):
                r0, c0 = max(top, row * side), max(left, column * side)
                r1 = min(top + height, (row + 1) * side)
                c1 = min(left + width, (column + 1) * side)
                place = out[r0 - top : r1 - top, c0 - left : c1 - left]
                chunk = Chunk(row, column)
                made = self._cache.get((steps, chunk))
                if made is None:
                    rows, columns = (
                        (np.arange(*span) + 0.5) * 2**steps
                        for span in ((r0, r1), (c0, c1))
                    )
                    place[:] = self.virtual.plan(rows, columns, TO_COME)
                else:
                    r, c = r0 - row * side, c0 - column * side
                    place[:] = made[r : r + r1 - r0, c : c + c1 - c0]
        return out

    def _draw(self, chunk: Chunk, pixels: NDArray[np.uint8]) -> None:
        from PIL import Image

        side = self.virtual.chunk_px / self._shrink
        height, width = self.virtual.size_of(chunk)
        r0, c0 = round(chunk.row * side), round(chunk.column * side)
        r1 = round(chunk.row * side + height / self._shrink)
        c1 = round(chunk.column * side + width / self._shrink)
        if r1 > r0 and c1 > c0:
            small = Image.fromarray(pixels).resize(
                (c1 - c0, r1 - r0), Image.Resampling.BOX
            )
            place = self._overview[r0:r1, c0:c1]
            place[:] = np.asarray(small)[: place.shape[0], : place.shape[1]]


class VirtualLevel:
    """One level: what napari asks of an array."""

    ndim = 3
    dtype = np.dtype(np.uint8)

    def __init__(
        self, whole: VirtualLevels, steps: int, shape: tuple[int, int], side: int
    ) -> None:
        self.shape = (*shape, 3)
        self.size = math.prod(self.shape)
        self.chunk_px = side
        self._whole = whole
        self._steps = steps

    def __len__(self) -> int:
        """Rows, as arrays count."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[np.uint8]:
        """Slice as NumPy does; steps other than 1 read more than they give."""
        keys = key if isinstance(key, tuple) else (key,)
        keys = (*keys, *(slice(None),) * (3 - len(keys)))
        spans: list[tuple[int, int]] = []
        rest: list[Any] = []
        for axis, asked in enumerate(keys[:2]):
            if isinstance(asked, slice):
                start, stop, step = asked.indices(self.shape[axis])
                rest.append(slice(None, None, step))
                spans.append((start, max(start, stop)))
            else:
                at = int(asked) % self.shape[axis]
                rest.append(0)
                spans.append((at, at + 1))
        (top, bottom), (left, right) = spans
        part = self._whole.read(self._steps, top, left, bottom - top, right - left)
        found: NDArray[np.uint8] = part[(*rest, keys[2])]
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """Give all of it."""
        return np.asarray(self[:], dtype)
