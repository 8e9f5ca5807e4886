"""The slide: what the rest of the program sees of a file."""

from __future__ import annotations

import threading
from operator import index
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import MissingMppError, SlideError
from napari_pathfm.slides._colour import to_srgb
from napari_pathfm.slides._levels import BackendName, Level, Sampling, choose_level
from napari_pathfm.slides._mpp import (
    MppSource,
    check_mpp,
    missing_mpp_message,
    resolve_mpp,
)
from napari_pathfm.slides._regions import (
    factors_of,
    nearest,
    read_sampled,
    read_whole,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.slides._grid import TileGrid
    from napari_pathfm.slides._levels import Backend

# The most pixels one read gives back: 300 MB of RGB.
MAX_READ_PIXELS = 100_000_000

# Positions beyond any slide; OpenSlide counts in 64-bit integers.
_MAX_COORDINATE = 2.0**53


class Slide:
    """A whole-slide image, open for reading.

    Made by `open_slide`. Safe to read from many threads; closing while others read is
    safe too. Pickles by reopening the file.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        The file's stem.
    vendor : str
        The format's family: OpenSlide's word, or ``ome-tiff``, ``imagej``.
    backend : {"direct", "openslide", "tifffile", "picture", "ome-zarr"}
        What reads the file: its tiles decoded directly, with what OpenSlide knows of
        it; OpenSlide; or its tiles alone.
    reading : str
        How its pixels are read and why so, for people.
    fingerprint : str
        32 hex digits made of the file's size, its first and last 64 KiB and the size of
        level 0; of slides of several files made of OpenSlide's hash of them. The same
        wherever the file lies and whenever it was written.
    levels : tuple of Level
        The resolutions that the file holds, the finest first.
    dimensions : (int, int)
        ``(width, height)`` of level 0 in pixels.
    mpp : float or None
        Micrometres per level-0 pixel.
    mpp_source : {"file", "user", "objective"} or None
        Where `mpp` comes from; ``"objective"`` means derived as 10 / magnification.
    objective : float or None
        The objective's magnification.
    scaled_decode : bool
        Whether JPEG tiles may shrink while they are decoded.
    icc_applied : bool
        Whether colours went through the file's ICC profile to sRGB.
    associated : tuple of str
        Names of the associated images, never the label. (A macro shows the whole glass,
        which on some scanners includes the label: treat it with the same care.)
    """

    def __init__(
        self,
        path: Path,
        backend: Backend,
        fingerprint: str,
        mpp: float | None,
        *,
        scaled_decode: bool = True,
        icc: bool = False,
    ) -> None:
        self.reader = backend
        self.scaled_decode = scaled_decode
        self.icc_applied = icc and backend.icc_profile is not None
        if self.icc_applied and backend.icc_profile is not None:
            backend.use_profile(to_srgb(backend.icc_profile, name=path.name))
        self._given_mpp = mpp
        self._coarsest: NDArray[np.uint8] | None = None
        self._coarsest_lock = threading.Lock()
        self.path = path
        self.name = path.stem
        self.vendor = backend.vendor
        self.backend: BackendName = backend.name
        self.reading = backend.reading
        self.fingerprint = fingerprint
        self.levels: tuple[Level, ...] = backend.levels
        self.dimensions = (self.levels[0].width, self.levels[0].height)
        self.objective = backend.objective
        self.associated = backend.associated
        self.mpp: float | None
        self.mpp_source: MppSource | None
        self.mpp, self.mpp_source = resolve_mpp(backend.mpp, mpp, backend.objective)

    def __repr__(self) -> str:
        width, height = self.dimensions
        return f"<Slide {self.path.name} {width}x{height} {self.vendor} mpp={self.mpp}>"

    def require_mpp(self) -> float:
        """Give the pixel size in micrometres.

        Raises
        ------
        MissingMppError
            Where the file does not state it and the user has not given it.
        """
        if self.mpp is None:
            raise MissingMppError(missing_mpp_message(self.path.name, self.reader.mpp))
        return self.mpp

    def sampling(self, mpp: float) -> Sampling:
        """Choose the level from which pixels of `mpp` micrometres are read.

        It is the coarsest level that is at least as fine, within 1 %. A level that
        matches within 1 % is read as it is. Finer than level 0 is interpolated from
        level 0.

        Parameters
        ----------
        mpp : float
            Micrometres per pixel, 0.01 to 100.

        Raises
        ------
        MissingMppError
            Where the slide's own pixel size is not known.
        SlideError
            Where `mpp` is no such number.
        """
        downsample = check_mpp(mpp) / self.require_mpp()
        return choose_level(self.levels, downsample, factors_of(self.reader))

    @property
    def icc_profile(self) -> bytes | None:
        """The file's ICC profile, applied or not; None where it has none."""
        return self.reader.icc_profile

    def resampling(self, mpp: float) -> str:
        """Say how pixels of `mpp` micrometres are made, for whoever compares features.

        Returns
        -------
        str
            Such as ``"level 1"``, ``"level 0, decoded at 1/2"``, ``"level 0,
            bicubic"``.
        """
        sampling = self.sampling(mpp)
        words = f"level {sampling.level}"
        if sampling.factor > 1:
            words += f", decoded at 1/{sampling.factor}"
        own = self.levels[sampling.level].downsample * sampling.factor
        return words if sampling.downsample == own else f"{words}, bicubic"

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

    def pyramid(self) -> list[da.Array]:
        """Give the slide as lazy arrays, for napari.

        The levels of the file, with levels filled in where it has steps of more than
        two, down to one of at most 1024 px that is held in memory. The first call reads
        that one: call it outside of the GUI thread.

        Returns
        -------
        list of dask arrays, each (h, w, 3) uint8
            Strictly decreasing in size. Their tasks are named after the slide's
            fingerprint, so that a cache knows them again when the slide is reopened.

        Raises
        ------
        SlideError
            Where the slide has no level coarse enough to be read in full.
        """
        from napari_pathfm.slides._pyramid import build_pyramid, read_coarsest

        # The pixels are kept and not the arrays: these refer to the slide, and a circle
        # would keep the file open until Python finds it.
        with self._coarsest_lock:
            if self._coarsest is None:
                self._coarsest = read_coarsest(self)
        return build_pyramid(self, self._coarsest)

    def tiles(
        self,
        grid: TileGrid,
        *,
        batch: int = 64,
        indices: Sequence[int] | NDArray[np.integer[Any]] | None = None,
        on_error: Callable[[int, int, int, SlideError], object] | None = None,
        threads: int | None = None,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Read the tiles of a grid, in order, some batches ahead of whoever takes them.

        Where the file's tiles can be decoded directly each is decoded once for all the
        tiles of the grid that touch it.

        Parameters
        ----------
        grid : TileGrid
            Made by `tile_grid` for this slide.
        batch : int
            Tiles at a time.
        indices : sequence of int, optional
            Which tiles, by their row in ``grid.coords``; all by default.
        on_error : callable, optional
            Called as ``on_error(index, x, y, error)``, with the tile's row and level-0
            corner, for a tile that cannot be read; it is left out, and the others come.
        threads : int, optional
            How many read; as many as there are processors, up to eight, by default.

        Yields
        ------
        indices : int64 array, shape (B,)
            Rows of ``grid.coords``.
        pixels : uint8 array, shape (B, px, px, 3)
            At most three batches are in memory. Closing the iterator stops the reading.

        Raises
        ------
        SlideError
            Where the grid does not fit the slide, an index does not exist, or, without
            `on_error`, a tile is damaged; the tiles before that one come first.
        """
        from napari_pathfm.slides._stream import stream_tiles

        return stream_tiles(
            self,
            grid,
            batch=batch,
            indices=indices,
            on_error=on_error,
            threads=threads,
        )

    def close(self) -> None:
        """Close the file; reads under way end first, later ones raise `SlideError`."""
        self.reader.close()

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # A copy would be a second handle on the same file: share this one. A pickle, which
    # goes to another process, opens its own.
    def __copy__(self) -> Slide:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Slide:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from napari_pathfm.slides._open import reopen

        return reopen, (
            self.path,
            self._given_mpp,
            self.backend,
            self.fingerprint,
            self.scaled_decode,
            self.icc_applied,
        )

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
