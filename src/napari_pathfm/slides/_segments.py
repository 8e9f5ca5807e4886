"""The strips or tiles of one TIFF page, read by offset and decoded one by one."""

from __future__ import annotations

import math
import os
import threading
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _jpeg, _streams
from napari_pathfm.slides._colour import composite_on_white, ycbcr_to_rgb
from napari_pathfm.slides._witness import Witness

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from tifffile import TiffPage

_JPEG, _RGB, _YCBCR = 7, 2, 6

# Aperio's JPEG 2000 whose three components are YCbCr, which the stream does not say.
_APERIO_YCBCR = 33003


class SegmentFile:
    """A file that many threads read at once."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb", buffering=0)
        self._witness = Witness(path, self._file.fileno())
        self._lock = threading.Lock()

    def read(self, offset: int, count: int) -> bytes:
        """Read exactly `count` bytes at `offset`.

        Raises
        ------
        OSError
            The file ends before.
        SlideError
            The file is not what it was when it was opened.
        """
        if hasattr(os, "pread"):
            data = os.pread(self._file.fileno(), count, offset)
        else:  # Windows
            with self._lock:
                self._file.seek(offset)
                data = self._file.read(count)
        if len(data) < count:
            raise OSError("the file ends early")
        self._witness.check()
        return data

    def __del__(self) -> None:
        # The last reader lets go of it, so no read is under way. That nobody closed the
        # slide before is no leak, and Python need not warn of one.
        if hasattr(self, "_file"):
            self._file.close()


class Segments:
    """How the pixels of a page lie in its file, and how to decode them.

    Parameters
    ----------
    page : TiffPage
        Of an open file; everything is read from it here.

    Attributes
    ----------
    width, height : int
        Sides of a tile, or of a strip.
    across, down : int
        How many there are.
    factors : tuple of int
        By how much a tile can shrink while it is decoded.

    Raises
    ------
    SlideError
        The page lists too few.
    """

    def __init__(self, page: TiffPage) -> None:
        from tifffile import PLANARCONFIG

        # Everything that tifffile works out on first use is worked out here, while the
        # file is open and one thread is at it.
        self._decode = page.decode
        self._tables = page.jpegtables or b""
        self._header = page.jpegheader
        self._offsets = np.asarray(page.dataoffsets, np.int64)
        self._counts = np.asarray(page.databytecounts, np.int64)
        self._planes = (
            page.samplesperpixel if page.planarconfig == PLANARCONFIG.SEPARATE else 1
        )
        if page.is_tiled:
            self.width, self.height = page.tilewidth, page.tilelength
        else:
            self.width = page.imagewidth
            self.height = min(page.rowsperstrip, page.imagelength)
        self.across = math.ceil(page.imagewidth / self.width)
        self.down = math.ceil(page.imagelength / self.height)
        self._size = page.imagewidth, page.imagelength
        self._per_plane = self.across * self.down
        if len(self._offsets) < self._per_plane * self._planes:
            raise SlideError(
                f"{page.parent.filehandle.name} is damaged: it lists "
                f"{len(self._offsets)} tiles and should have "
                f"{self._per_plane * self._planes}; copy it again from its source"
            )
        self._ycbcr = page.photometric == _YCBCR
        self._aperio_ycbcr = page.compression == _APERIO_YCBCR
        self._turbo = (
            page.is_tiled
            and page.compression == _JPEG
            and page.samplesperpixel == 3
            and self._planes == 1
            and self._header is None
            and page.photometric in (_RGB, _YCBCR)
        )
        self.factors = tuple(
            factor
            for factor in (_jpeg.FACTORS if self._turbo else (1,))
            if self.width % factor == self.height % factor == 0
        )

    def offset(self, index: int) -> int:
        """Where a segment lies in the file."""
        return int(self._offsets[index])

    def bytes_of(self, index: int) -> int:
        """How long a segment is; 0 where the file has none."""
        return int(self._counts[index])

    def decode(
        self,
        file: SegmentFile,
        index: int,
        factor: int = 1,
        out: NDArray[np.uint8] | None = None,
    ) -> NDArray[np.uint8] | None:
        """Decode one segment to RGB ``(h, w, 3)``; None where the file has none.

        JPEG tiles are decoded into `out` where that is given.
        """
        if self._turbo:
            count = self.bytes_of(index)
            if count == 0:
                return None
            data = file.read(self.offset(index), count)
            stream = _jpeg.whole_stream(data, self._tables, ycbcr=self._ycbcr)
            return _jpeg.decode(stream, self.width, self.height, factor, out)
        planes = []
        for plane in range(self._planes):
            part = plane * self._per_plane + index
            count = self.bytes_of(part)
            if count == 0:
                return None
            data = file.read(self.offset(part), count)
            self._check_stream(data)
            segment, _, shape = self._decode(
                data,
                part,
                jpegtables=self._tables or None,
                jpegheader=self._header,
            )
            if segment is None:
                return None
            planes.append(self._whole(segment[0, : shape[1], : shape[2]], index))
        pixels = planes[0] if len(planes) == 1 else np.concatenate(planes, axis=2)
        if pixels.shape[2] == 4:
            return composite_on_white(pixels)
        if self._aperio_ycbcr:
            return ycbcr_to_rgb(pixels)
        return np.ascontiguousarray(pixels, np.uint8)

    def _check_stream(self, data: bytes) -> None:
        """Refuse a stream that says it is larger than a segment, before it is made."""
        size = _streams.size_of(data)
        if size is not None and (size[0] > self.width or size[1] > self.height):
            raise ValueError(
                f"the tile has {size[0]} x {size[1]} px and should have "
                f"{self.width} x {self.height}"
            )

    def _whole(self, pixels: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        """Refuse a segment that covers less of the page than it should."""
        down, across = divmod(index, self.across)
        height = min(self.height, self._size[1] - down * self.height)
        width = min(self.width, self._size[0] - across * self.width)
        if pixels.shape[0] < height or pixels.shape[1] < width:
            raise ValueError(
                f"the tile has {pixels.shape[1]} x {pixels.shape[0]} px and should "
                f"have {width} x {height}"
            )
        return pixels
