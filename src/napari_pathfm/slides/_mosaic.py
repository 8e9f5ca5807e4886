"""Slide tiles decoded ahead, each once, for all the model tiles that touch them.

A model tile of 224 px touches several slide tiles, and each slide tile is touched by
several model tiles. Here every slide tile knows how many of them are still to come: it
is decoded for the first and let go after the last.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._resample import BICUBIC, extent, resample

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_pathfm.slides._levels import Sampling
    from napari_pathfm.slides._tiles import TiffTiles

# Decoded slide tiles held at most: a row of model tiles across a slide of 150,000 px at
# a quarter of its pixels needs half of it.
LIMIT_BYTES = 192 * 2**20


class Mosaic:
    """The slide tiles that a run of model tiles needs, for one level and factor.

    `wanted` and `release` are for the thread that leads, `fetch` and `tile` for any.

    Parameters
    ----------
    tiles : TiffTiles
        Where slide tiles come from.
    sampling : Sampling
        How model tiles are read.
    downsample : float
        The level's own.
    px : int
        Side of a model tile in pixels.
    corners : float array, shape (N, 2)
        Level-0 ``(x, y)`` of the model tiles' corners, in the order in which they are
        going to be asked for.
    limit : int
        Bytes of decoded tiles to hold.
    """

    def __init__(
        self,
        tiles: TiffTiles,
        sampling: Sampling,
        downsample: float,
        px: int,
        corners: NDArray[np.integer[Any]],
        limit: int = LIMIT_BYTES,
    ) -> None:
        self._tiles = tiles
        self._level, self._factor = sampling.level, sampling.factor
        own = downsample * sampling.factor
        self._px = px
        self._step = sampling.downsample / own
        self._direct = sampling.downsample == own
        self._corners = corners.astype(np.float64) / own
        self._limit = limit
        self._across, down = tiles.lattice(sampling.level)
        width, height = tiles.sizes[sampling.level]
        self._size = width // sampling.factor, height // sampling.factor
        self._held: dict[int, NDArray[np.uint8] | SlideError | None] = {}
        # Memory of slide tiles that nobody needs any more, to decode others into.
        self._spare: list[NDArray[np.uint8]] = []
        # Which slide tiles the model tiles under way need.
        self._needs: dict[int, list[int]] = {}
        self._first, self._last = self._spans(down)
        # A plain list: single elements of an array cost ten times as much.
        self._uses: list[int] = self._count(down).tolist()

    def wanted(self, start: int, stop: int) -> list[int]:
        """Slide tiles that model tiles ``start..stop`` need and nobody has fetched.

        They count as fetched from now on. In the order of the file.
        """
        found: dict[int, None] = {}
        for j in range(start, stop):
            self._needs[j] = numbers = self._numbers(j)
            found.update(dict.fromkeys(numbers))
        new = [number for number in found if number not in self._held]
        for number in new:
            self._held[number] = None
        return sorted(new, key=lambda number: self._tiles.offset(self._level, number))

    def fetch(self, numbers: Iterable[int]) -> None:
        """Decode slide tiles; a damaged one is kept as its error."""
        for number in numbers:
            tile: NDArray[np.uint8] | SlideError | None
            try:
                out = self._spare.pop() if self._spare else None
                tile = self._tiles.decode(self._level, self._factor, number, out)
            except SlideError as error:
                tile = error
            self._held[number] = tile

    def tile(self, j: int, place: NDArray[np.uint8]) -> None:
        """Put model tile `j` into an array of its size.

        Raises
        ------
        SlideError
            A slide tile that it needs is damaged.
        """
        if self._direct:
            left, top = self._corners[j].tolist()
            x, y = math.floor(left + 0.5), math.floor(top + 0.5)
            window = (x, y, self._px, self._px)
            self._tiles.assemble(self._level, self._factor, window, self._get, place)
            return
        left, top = self._corners[j].tolist()
        side = self._px * self._step
        box = (left, top, left + side, top + side)
        place[:] = resample(self._read, 1.0, box, (self._px, self._px), BICUBIC)

    def release(self, start: int, stop: int) -> None:
        """Let go of what no model tile after ``start..stop`` needs."""
        uses, held = self._uses, self._held
        for j in range(start, stop):
            for number in self._needs.pop(j):
                uses[number] -= 1
                if not uses[number]:
                    tile = held.pop(number, None)
                    if isinstance(tile, np.ndarray) and tile.flags.writeable:
                        self._spare.append(tile)

    def shed(self) -> None:
        """Where too much is held let go of the oldest that nothing under way needs.

        What is let go too early is decoded again.
        """
        width, height = self._size
        spare = len(self._held) - self._limit // (3 * width * height)
        if spare <= 0:
            return
        needed = {n for numbers in self._needs.values() for n in numbers}
        for number in [n for n in self._held if n not in needed][:spare]:
            del self._held[number]

    def _read(self, x: int, y: int, width: int, height: int) -> NDArray[np.uint8]:
        window = (x, y, width, height)
        return self._tiles.assemble(self._level, self._factor, window, self._get)

    def _get(self, number: int) -> NDArray[np.uint8] | None:
        tile = self._held[number]
        if isinstance(tile, SlideError):
            raise tile
        return tile

    def _spans(self, down: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """First and last slide tile ``(across, down)`` of each model tile."""
        if self._direct:
            begin = np.floor(self._corners + 0.5).astype(np.int64)
            end = begin + self._px
        else:
            side = self._px * self._step
            one = extent((0.0, 0.0, side, side), (self._px, self._px), BICUBIC)
            # A window begins at the pixel below the corner, less a margin that is the
            # same for all; its far end depends on the fraction, by a pixel at most.
            begin = np.floor(self._corners).astype(np.int64) + one[0]
            end = begin + one[2] + 1
        most = np.array([self._across - 1, down - 1])
        first = np.clip(begin // self._size, 0, most)
        last = np.clip((end - 1) // self._size, -1, most)
        return first.astype(np.int32), last.astype(np.int32)

    def _numbers(self, j: int) -> list[int]:
        (i0, j0), (i1, j1) = self._first[j].tolist(), self._last[j].tolist()
        return [
            row * self._across + column
            for row in range(j0, j1 + 1)
            for column in range(i0, i1 + 1)
        ]

    def _count(self, down: int) -> NDArray[np.int32]:
        """How many model tiles need each slide tile."""
        uses = np.zeros((down, self._across), np.int32)
        spans = self._last - self._first + 1
        if not len(spans):
            return uses.ravel()
        for dj in range(int(spans[:, 1].max())):
            for di in range(int(spans[:, 0].max())):
                here = (di < spans[:, 0]) & (dj < spans[:, 1])
                column = self._first[here, 0] + di
                np.add.at(uses, (self._first[here, 1] + dj, column), 1)
        return uses.ravel()
