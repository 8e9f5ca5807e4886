"""The tifffile backend: tiled TIFF, OME-TIFF with SubIFDs, plain TIFF if not huge."""

from __future__ import annotations

import logging
import math
import threading
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _tiffmeta as meta
from napari_pathfm.slides._cache import TileCache
from napari_pathfm.slides._colour import composite_on_white
from napari_pathfm.slides._levels import BackendName, position
from napari_pathfm.slides._regions import CONVERT

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage

CACHE_BYTES = 64 * 2**20

# A TIFF without tiles is read by strips, which suits a picture but not a slide.
MAX_PLAIN_PIXELS = 400_000_000

# One strip or tile is decoded as a whole; some writers put everything into one strip.
MAX_SEGMENT_PIXELS = 64_000_000

# OpenSlide's painter takes offsets below this for whole pixels.
_SUBPIXEL = 1 / 256

# Without a handler of its own Python prints tifffile's grumbling about a damaged file
# to stderr, beside the one clear line that we raise.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TifffileBackend:
    """One TIFF, decoded tile by tile."""

    name: BackendName = "tifffile"

    def __init__(self, path: Path) -> None:
        import tifffile

        self._path = path
        self._closed = False
        try:
            with tifffile.TiffFile(path) as tif:
                self._check(tif.pages.first)
                pages = meta.level_pages(tif)
                self.levels = meta.level_facts(pages)
                self.vendor = meta.vendor(tif)
                self.mpp = meta.stated_mpp(tif)
                self.objective = meta.objective_power(tif)
                self._pages = [_Segments(page) for page in pages]
            self._file = _SharedFile(path.open("rb"))
        except SlideError:
            raise
        except Exception as error:  # tifffile raises whatever the damage leads to
            raise SlideError(
                f"{path.name} is no TIFF that can be read ({_reason(error)}): check "
                "that it is a slide, or copy it again from its source"
            ) from error
        self.tile_sizes = tuple((page.width, page.height) for page in self._pages)
        self.associated: tuple[str, ...] = ()
        self._cache = TileCache(CACHE_BYTES)

    def _check(self, page: TiffPage) -> None:
        """Refuse what is no bright-field slide, or would fill the memory."""
        problem = meta.refusal(page)
        if problem is not None:
            raise SlideError(f"{self._path.name} {problem}")
        pixels = page.imagewidth * page.imagelength
        if not page.is_tiled and pixels > MAX_PLAIN_PIXELS:
            raise SlideError(
                f"{self._path.name} is a TIFF without tiles of {pixels / 1e6:.0f} "
                f"megapixels; over {MAX_PLAIN_PIXELS / 1e6:.0f} it must be tiled: "
                f"{CONVERT}"
            )
        segment = math.prod(page.chunks[:2])
        if segment > MAX_SEGMENT_PIXELS:
            raise SlideError(
                f"{self._path.name} keeps {segment / 1e6:.0f} megapixels in one piece; "
                f"over {MAX_SEGMENT_PIXELS / 1e6:.0f} it must be tiled: {CONVERT}"
            )

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read pixels as OpenSlide would: interpolated between the level's pixels."""
        if self._closed:
            raise SlideError(f"{self._path.name} is closed: open it again")
        downsample = self.levels[level].downsample
        column, right = _split(position(x, downsample))
        row, lower = _split(position(y, downsample))
        if not right and not lower:
            return self._stored(level, column, row, width, height)
        pixels: NDArray[np.float32] = self._stored(
            level, column, row, width + 1, height + 1
        ).astype(np.float32)
        pixels = pixels[:, :-1] * (1 - right) + pixels[:, 1:] * right
        pixels = pixels[:-1] * (1 - lower) + pixels[1:] * lower
        return (pixels + 0.5).astype(np.uint8)

    def _stored(
        self, level: int, column: int, row: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Put a region together from the tiles that it touches; white elsewhere."""
        page, facts = self._pages[level], self.levels[level]
        result = np.full((height, width, 3), 255, np.uint8)
        left, right = max(column, 0), min(column + width, facts.width)
        upper, lower = max(row, 0), min(row + height, facts.height)
        if left >= right or upper >= lower:
            return result
        for down in range(upper // page.height, (lower - 1) // page.height + 1):
            for across in range(left // page.width, (right - 1) // page.width + 1):
                tile = self._tile(level, down, across)
                if tile is None:
                    continue
                x0, y0 = across * page.width, down * page.height
                a, b = max(left, x0), min(right, x0 + tile.shape[1])
                c, d = max(upper, y0), min(lower, y0 + tile.shape[0])
                result[c - row : d - row, a - column : b - column] = tile[
                    c - y0 : d - y0, a - x0 : b - x0
                ]
        return result

    def _tile(self, level: int, down: int, across: int) -> NDArray[np.uint8] | None:
        """Decode a tile to RGB, or find it in the cache; None if the file has none."""
        key = (level, down, across)
        tile = self._cache.get(key)
        if tile is None:
            page = self._pages[level]
            try:
                tile = page.decode(self._file, down, across)
            except Exception as error:  # codecs raise whatever the damage leads to
                downsample = self.levels[level].downsample
                raise SlideError(
                    f"{self._path.name} is damaged at "
                    f"x={round(across * page.width * downsample)}, "
                    f"y={round(down * page.height * downsample)} (level {level}, "
                    f"{page.width}x{page.height} px): {_reason(error)}; "
                    "copy it again from its source"
                ) from error
            if tile is not None:
                self._cache.put(key, tile)
        return tile

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Raise `KeyError`: this backend reads the levels only."""
        raise KeyError(name)

    def close(self) -> None:
        """Let the file go."""
        self._closed = True
        self._file.close()


class _Segments:
    """The strips or tiles of one page, decoded one by one."""

    def __init__(self, page: TiffPage) -> None:
        from tifffile import PLANARCONFIG

        # Everything that tifffile works out on first use is worked out here, while the
        # file is open and one thread is at it.
        self._decode = page.decode
        self._tables = page.jpegtables
        self._header = page.jpegheader
        self._offsets, self._counts = page.dataoffsets, page.databytecounts
        self._planes = (
            page.samplesperpixel if page.planarconfig == PLANARCONFIG.SEPARATE else 1
        )
        if page.is_tiled:
            self.width, self.height = page.tilewidth, page.tilelength
        else:
            self.width = page.imagewidth
            self.height = min(page.rowsperstrip, page.imagelength)
        self._across = math.ceil(page.imagewidth / self.width)
        self._per_plane = self._across * math.ceil(page.imagelength / self.height)
        if len(self._offsets) < self._per_plane * self._planes:
            raise SlideError(
                f"{page.parent.filehandle.name} is damaged: it lists "
                f"{len(self._offsets)} tiles and should have "
                f"{self._per_plane * self._planes}; copy it again from its source"
            )

    def decode(
        self, file: _SharedFile, down: int, across: int
    ) -> NDArray[np.uint8] | None:
        """Decode one segment to RGB ``(h, w, 3)``; None where it is not stored."""
        planes = []
        for plane in range(self._planes):
            index = plane * self._per_plane + down * self._across + across
            offset, count = self._offsets[index], self._counts[index]
            if count == 0:
                return None
            data = file.read(offset, count)
            segment, _, shape = self._decode(
                data, index, jpegtables=self._tables, jpegheader=self._header
            )
            if segment is None:
                return None
            planes.append(segment[0, : shape[1], : shape[2]])
        pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if pixels.shape[2] == 4:
            return composite_on_white(pixels)
        return np.ascontiguousarray(pixels, np.uint8)


class _SharedFile:
    """A file that many threads read at once."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`."""
        # A lock rather than pread: reading is quick beside decoding, Windows has no
        # pread, and close() cannot come between.
        with self._lock:
            self._file.seek(offset)
            data = self._file.read(count)
        if len(data) < count:
            raise OSError("the file ends early")
        return data

    def __del__(self) -> None:
        # A slide lives as long as the arrays that read it, and nobody may be left to
        # close it: that is no leak, and Python need not warn of one.
        self.close()

    def close(self) -> None:
        """Let the file go."""
        with self._lock:
            self._file.close()


def _split(where: float) -> tuple[int, float]:
    """Split a position on a level into the whole pixel and the fraction."""
    whole = math.floor(where + _SUBPIXEL)
    fraction = where - whole
    return whole, fraction if fraction > _SUBPIXEL else 0.0


def _reason(error: Exception) -> str:
    """Put a library's message on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__
