"""The slide: what the rest of the program sees of a file."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from napari_pathfm.slides._reading import SlideReading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

    import dask.array as da
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.errors import SlideError
    from napari_pathfm.slides._grid import TileGrid
    from napari_pathfm.slides._levels import Backend


class Slide(SlideReading):
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
        super().__init__(
            path, backend, fingerprint, mpp, scaled_decode=scaled_decode, icc=icc
        )
        self._coarsest: NDArray[np.uint8] | None = None
        self._coarsest_lock = threading.Lock()

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
