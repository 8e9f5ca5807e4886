"""Reading a slide at any place and resolution, its associated images, a thumbnail."""

from __future__ import annotations

from operator import index
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._facts import SlideFacts
from napari_pathfm.slides._regions import nearest, read_sampled, read_whole

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# The most pixels one read gives back: 300 MB of RGB.
MAX_READ_PIXELS = 100_000_000

# Positions beyond any slide; OpenSlide counts in 64-bit integers.
_MAX_COORDINATE = 2.0**53


class SlideReading(SlideFacts):
    """A slide of which regions are read."""

    def read(
        self,
        x: float,
        y: float,
        width: int,
        height: int,
        *,
        level: int = 0,
        mpp: float | None = None,
    ) -> NDArray[np.uint8]:
        """Read a region.

        Parameters
        ----------
        x, y : float
            Level-0 pixels of the region's top-left corner. May lie outside the slide.
        width, height : int
            Size in pixels of the level, or of `mpp` where that is given.
        level : int
            The level to read. The pixels are OpenSlide's own for ``round(x),
            round(y)``: where these fall between two pixels of the level OpenSlide
            interpolates.
        mpp : float, optional
            Micrometres per pixel, instead of a level. If a level matches within 1 % its
            stored pixels are given, from the one nearest to `x`, `y`; otherwise the
            region is resized (bicubic, antialiased) from the next finer level, at
            exactly `x`, `y`.

        Returns
        -------
        uint8 array, shape (height, width, 3)
            RGB. White outside of the slide and where it is transparent.

        Raises
        ------
        MissingMppError
            `mpp` was given and the slide's own is not known.
        SlideError
            The size or position is no such number or beyond reason (100 megapixels),
            there is no such level, the region is damaged, or the slide is closed.
        """
        width, height = self._check_size(width), self._check_size(height)
        if width * height > MAX_READ_PIXELS:
            raise SlideError(
                f"{self.path.name}: {width} x {height} px are too much for one read "
                f"(limit {MAX_READ_PIXELS / 1e6:.0f} million): read a smaller region "
                "or a coarser level"
            )
        for value in (x, y):
            if not abs(value) <= _MAX_COORDINATE:
                raise SlideError(f"{self.path.name}: {value} is no position on a slide")
        if mpp is not None:
            if level != 0:
                raise SlideError(f"{self.path.name}: give a level or an mpp, not both")
            return read_sampled(self.reader, x, y, width, height, self.sampling(mpp))
        if not 0 <= level < len(self.levels):
            raise SlideError(
                f"{self.path.name} has levels 0 to {len(self.levels) - 1}, not {level}"
            )
        return self.reader.read(level, nearest(x), nearest(y), width, height)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an associated image.

        Parameters
        ----------
        name : str
            One of `associated`, or ``"label"``, which can show a patient's name and is
            therefore read only when asked for.

        Returns
        -------
        uint8 array, shape (h, w, 3)

        Raises
        ------
        SlideError
            Where there is no such image or it is damaged.
        """
        try:
            return self.reader.read_associated(name)
        except KeyError:
            names = ", ".join(self.associated) or "none"
            raise SlideError(
                f"{self.path.name} has no associated image {name!r}; it has: {names}"
            ) from None

    @property
    def cache_bytes(self) -> int:
        """Bytes of decoded tiles that are kept at most, for reading and pyramid."""
        from napari_pathfm.slides import _openslide, _tiles

        return (
            _openslide.CACHE_BYTES if self.reader.tiles is None else _tiles.CACHE_BYTES
        )

    def thumbnail(self, max_px: int = 1024) -> NDArray[np.uint8]:
        """Shrink the slide to a picture, from its levels.

        Never a scanner's own picture, which may show the label.

        Parameters
        ----------
        max_px : int
            Longest side in pixels. A smaller slide is not enlarged.

        Returns
        -------
        uint8 array, shape (h, w, 3)

        Raises
        ------
        SlideError
            Where the slide has no level coarse enough to be read in full.
        """
        longest = max(self.dimensions)
        scale = min(self._check_size(max_px) / longest, 1.0)
        size = tuple(max(1, round(side * scale)) for side in self.dimensions)
        return read_whole(self.reader, (size[0], size[1]), name=self.path.name)

    def _check_size(self, size: int) -> int:
        try:
            whole = index(size)
        except TypeError:
            whole = 0
        if whole < 1:
            raise SlideError(
                f"{self.path.name}: a size must be a positive whole number, "
                f"not {size!r}"
            )
        return whole
