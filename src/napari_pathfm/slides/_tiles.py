"""The tiles of a TIFF's levels, and regions put together from them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._cache import TileCache
from napari_pathfm.slides._levels import position
from napari_pathfm.slides._segments import SegmentFile, Segments

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._levels import Level

    Tile = NDArray[np.uint8] | None

#: Decoded tiles kept for one slide: a full screen, the ring around it that is read
#: ahead, and the level below.
CACHE_BYTES = 192 * 2**20

# OpenSlide's painter takes offsets below this for whole pixels.
_SUBPIXEL = 1 / 256


class TiffTiles:
    """Tiles by level, shrinking factor and number; safe to use from many threads.

    Parameters
    ----------
    path : Path
        The file.
    pages : sequence of TiffPage
        One a level, of a file that is open now.
    levels : sequence of Level
        Their sizes and downsamples.
    scaled : bool
        Whether tiles may shrink while they are decoded.

    Attributes
    ----------
    factors : tuple of tuple of int
        By how much the tiles of each level can shrink.
    sizes : tuple of (int, int)
        ``(width, height)`` of a tile of each level.
    """

    def __init__(
        self,
        path: Path,
        pages: Sequence[TiffPage],
        levels: Sequence[Level],
        *,
        scaled: bool = True,
    ) -> None:
        self._path = path
        self._levels = tuple(levels)
        self._segments = [Segments(page) for page in pages]
        self.factors = tuple(
            part.factors if scaled else (1,) for part in self._segments
        )
        self.sizes = tuple((part.width, part.height) for part in self._segments)
        self._file: SegmentFile | None = SegmentFile(path)
        self._apply: ToSrgb | None = None
        self.cache = TileCache(CACHE_BYTES)

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read from level-0 ``(x, y)`` as OpenSlide would.

        Where that falls between pixels of the level they are interpolated.
        """
        downsample = self._levels[level].downsample
        column, right = _split(position(x, downsample))
        row, lower = _split(position(y, downsample))
        if not right and not lower:
            return self.stored(level, 1, column, row, width, height)
        pixels: NDArray[np.float32] = self.stored(
            level, 1, column, row, width + 1, height + 1
        ).astype(np.float32)
        pixels = pixels[:, :-1] * (1 - right) + pixels[:, 1:] * right
        pixels = pixels[:-1] * (1 - lower) + pixels[1:] * lower
        return (pixels + 0.5).astype(np.uint8)

    def stored(
        self, level: int, factor: int, column: int, row: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read pixels of a level, shrunk by a factor; white where there are none.

        ``column, row`` count pixels of the shrunk level, ``(width, height)`` too.
        """

        def get(index: int) -> Tile:
            key = (level, factor, index)
            tile = self.cache.get(key)
            if tile is None:
                tile = self.decode(level, factor, index)
                if tile is not None:
                    self.cache.put(key, tile)
            return tile

        return self.assemble(level, factor, (column, row, width, height), get)

    def assemble(
        self,
        level: int,
        factor: int,
        window: tuple[int, int, int, int],
        get: Callable[[int], Tile],
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8]:
        """Put ``(column, row, width, height)`` together from tiles by their number."""
        self._open()
        column, row, width, height = window
        part, facts = self._segments[level], self._levels[level]
        across, down = part.width // factor, part.height // factor
        left, right = max(column, 0), min(column + width, facts.width // factor)
        upper, lower = max(row, 0), min(row + height, facts.height // factor)
        inside = (left, upper, right, lower) == (
            column,
            row,
            column + width,
            row + height,
        )
        result = np.empty((height, width, 3), np.uint8) if out is None else out
        if not inside:
            result.fill(255)
        if left >= right or upper >= lower:
            return result
        for j in range(upper // down, (lower - 1) // down + 1):
            y0 = j * down
            c, d = max(upper, y0), min(lower, y0 + down)
            for i in range(left // across, (right - 1) // across + 1):
                x0 = i * across
                a, b = max(left, x0), min(right, x0 + across)
                tile = get(j * part.across + i)
                place = result[c - row : d - row, a - column : b - column]
                if tile is None:
                    place.fill(255)
                else:
                    place[:] = tile[c - y0 : d - y0, a - x0 : b - x0]
        return result

    def decode(
        self,
        level: int,
        factor: int,
        index: int,
        out: NDArray[np.uint8] | None = None,
    ) -> Tile:
        """Decode a tile to RGB; None where the file has none.

        `out` is memory that may be used again.

        Raises
        ------
        SlideError
            It is damaged, the slide is closed, or the file has changed.
        """
        file = self._open()
        part = self._segments[level]
        try:
            tile = part.decode(file, index, factor, out)
        except SlideError:
            raise
        except Exception as error:  # codecs raise whatever the damage leads to
            downsample = self._levels[level].downsample
            down, across = divmod(index, part.across)
            raise SlideError(
                f"{self._path.name} is damaged at "
                f"x={round(across * part.width * downsample)}, "
                f"y={round(down * part.height * downsample)} (level {level}, "
                f"{part.width}x{part.height} px): {reason(error)}; "
                "copy it again from its source"
            ) from error
        return tile if tile is None or self._apply is None else self._apply(tile)

    def use_profile(self, apply: ToSrgb) -> None:
        """Give all colours by a transform from now on."""
        self._apply = apply
        # What was compared with OpenSlide's pixels lies in it, as the file has it.
        self.cache = TileCache(CACHE_BYTES)

    def _open(self) -> SegmentFile:
        file = self._file
        if file is None:
            raise SlideError(f"{self._path.name} is closed: open it again")
        return file

    def lattice(self, level: int) -> tuple[int, int]:
        """Count a level's tiles: ``(across, down)``."""
        return self._segments[level].across, self._segments[level].down

    def offset(self, level: int, index: int) -> int:
        """Where a tile lies in the file."""
        return self._segments[level].offset(index)

    def longest(self, level: int) -> int:
        """Number of the tile with the most bytes: the one with the most to see."""
        across, down = self.lattice(level)
        return max(range(across * down), key=self._segments[level].bytes_of)

    def close(self) -> None:
        """Let the file go, once the reads that are under way have ended."""
        self._file = None


def reason(error: Exception) -> str:
    """Put a library's message on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _split(where: float) -> tuple[int, float]:
    """Split a position on a level into the whole pixel and the fraction."""
    whole = math.floor(where + _SUBPIXEL)
    fraction = where - whole
    return whole, fraction if fraction > _SUBPIXEL else 0.0
