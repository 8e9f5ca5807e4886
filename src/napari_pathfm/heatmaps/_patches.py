"""Patch tokens of a slide's tiles, had where somebody looks.

The tiles are those of the embedding grid, side by side from the slide's corner, so that
a patch has the same vector whichever view asks for it.
"""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import Cancelled
from napari_pathfm.heatmaps._patch_cache import PatchCache
from napari_pathfm.heatmaps._vectors import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide, TissueMask

    #: ``(x, y, width, height)`` in level-0 pixels.
    Box = tuple[float, float, float, float]

# A tile is worth encoding for so much tissue, which is four of its 256 patches: at the
# border of tissue the patches are wanted of tiles that an embedding leaves out.
_MIN_TILE = 1 / 64
# A patch counts as tissue by the share that a tile does (`slides.MIN_TISSUE`).
_MIN_PATCH = 0.25


class PatchVectors:
    """The patches of one slide under one encoder: unit vectors, made when asked for.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    encoder : Encoder
        Loaded.
    tissue : TissueMask, optional
        Of the slide; found where not given.
    store : EmbeddingStore, optional
        If it was embedded with ``patches`` by this encoder, from this slide as it is
        read now, its tokens are taken in place of encoding.
    cache : PatchCache, optional
        Which may be shared with other slides.

    Attributes
    ----------
    grid : TileGrid
        The tiles that hold any tissue.
    side : int
        Patches along a tile's side.
    stride : float
        Level-0 pixels from one patch to the next.
    origin : (float, float)
        Level-0 ``(x, y)`` of the corner of the lattice of patches.
    shape : (int, int)
        ``(rows, columns)`` of that lattice.
    failed : set of int
        Rows of tiles that cannot be read.

    Raises
    ------
    MissingMppError
        The slide's pixel size is not known.
    """

    def __init__(
        self,
        slide: Slide,
        encoder: Encoder,
        *,
        tissue: TissueMask | None = None,
        store: EmbeddingStore | None = None,
        cache: PatchCache | None = None,
    ) -> None:
        from napari_pathfm.slides import tile_grid, tissue_mask

        spec = encoder.spec
        slide.require_mpp()
        self.slide = slide
        self.encoder = encoder
        self._tissue = tissue_mask(slide) if tissue is None else tissue
        self.grid = tile_grid(
            slide,
            px=spec.tile_px,
            mpp=spec.mpp,
            tissue=self._tissue,
            min_tissue=_MIN_TILE,
        )
        self.side = spec.tile_px // spec.patch_px
        self.stride = self.grid.stride / self.side
        # As tile maps are laid out: a cell is centred on its tile, whose side may be a
        # fraction of a pixel other than the stride.
        margin = (self.grid.tile_size - self.grid.stride) / 2
        self.origin = (self.grid.origin[0] + margin, self.grid.origin[1] + margin)
        rows, columns = self.grid.shape
        self.shape = (rows * self.side, columns * self.side)
        self.failed: set[int] = set()
        # Not this object itself: the cache must not keep it alive.
        self._owner = object()
        self._closed = False
        self._cache = PatchCache() if cache is None else cache
        self._store = store
        self._kept = _kept_rows(store, slide, encoder, self.grid)

    @property
    def cell_um(self) -> float:
        """Micrometres along a patch, as the encoder's makers mean them."""
        return self.encoder.spec.patch_px * self.encoder.spec.mpp

    def close(self) -> None:
        """Let go of what is in memory; a worker that still loads keeps nothing more."""
        self._closed = True
        self._cache.drop(self._owner)

    def cells_in(self, box: Box) -> tuple[slice, slice]:
        """Give the rows and columns of the patches that a rectangle touches."""
        x, y, width, height = box
        spans = []
        for low, high, start, count in (
            (y, y + height, self.origin[1], self.shape[0]),
            (x, x + width, self.origin[0], self.shape[1]),
        ):
            # A billionth of a cell is rounding: the next one is not meant.
            first = int(np.floor((low - start) / self.stride + 1e-9))
            last = int(np.ceil((high - start) / self.stride - 1e-9))
            first = min(max(first, 0), count)
            spans.append(slice(first, max(first, min(last, count))))
        return spans[0], spans[1]

    def rows_in(
        self, cells: tuple[slice, slice], near: tuple[float, float] | None = None
    ) -> NDArray[np.int64]:
        """Find the tiles that have patches among some, by their row in `grid`.

        Parameters
        ----------
        cells : (slice, slice)
            From `cells_in`.
        near : (float, float), optional
            Level-0 ``(x, y)``: the nearest come first.
        """
        first = np.array([part.start // self.side for part in cells])
        last = np.array([-(-part.stop // self.side) for part in cells])
        own = self.grid.cells
        rows = np.flatnonzero(((own >= first) & (own < last)).all(axis=1))
        if near is not None:
            centres = self.grid.coords[rows] + self.grid.tile_size / 2
            away = ((centres - near) ** 2).sum(axis=1)
            rows = rows[np.argsort(away, kind="stable")]
        return rows.astype(np.int64)

    def tissue(self, row: int) -> NDArray[np.bool_]:
        """Tell which patches of a tile are tissue: bool ``(side, side)``."""
        size = self.grid.tile_size / self.side
        steps = np.arange(self.side) * size
        x, y = np.meshgrid(*(steps + start for start in self.grid.coords[row]))
        covered = self._tissue.covered_many(np.stack([x, y], -1).reshape(-1, 2), size)
        tissue: NDArray[np.bool_] = covered.reshape(x.shape) >= _MIN_PATCH
        return tissue

    def tissue_in(self, row: int, cells: tuple[slice, slice]) -> NDArray[np.bool_]:
        """Give that part of `tissue` which lies among some patches."""
        down, across = (
            slice(max(0, part.start - first), max(0, part.stop - first))
            for part, first in zip(
                cells, (self.grid.cells[row] * self.side).tolist(), strict=True
            )
        )
        return self.tissue(row)[down, across]

    def known(self, row: int) -> NDArray[np.float16] | None:
        """Give a tile's vectors if they are in memory: ``(side, side, D)``."""
        return self._cache.get(self._owner, row)

    def load(
        self,
        rows: Sequence[int] | NDArray[np.int64],
        *,
        batch: int = 8,
        cancelled: Callable[[], bool] | None = None,
    ) -> Iterator[tuple[int, NDArray[np.float16]]]:
        """Give tiles' vectors, from memory, from the store, or by encoding.

        Parameters
        ----------
        rows : sequence of int
            Of `grid`; what must be encoded comes in this order, after what is there.
        batch : int
            Tiles that are encoded together.
        cancelled : callable, optional
            Asked before each batch.

        Yields
        ------
        row : int
        vectors : float16 array, (side, side, D)
            Of length 1. Tiles that cannot be read are left out and listed in `failed`.

        Raises
        ------
        Cancelled
            It was asked to stop.
        PathfmError
            What encoding may meet.
        """
        stop = cancelled or (lambda: False)
        missing = []
        for row in (int(row) for row in rows):
            vectors = self.known(row)
            if vectors is None and row in self._kept:
                vectors = self._take(row, self._read(self._kept[row]))
            if vectors is not None:
                yield row, vectors
                _stop_if(stop)
            elif row not in self.failed:
                missing.append(row)
        if not missing:
            return
        _stop_if(stop)
        stream = self.slide.tiles(
            self.grid, batch=batch, indices=missing, on_error=self._on_error
        )
        # A stream that is left half-way ends its threads.
        with closing(cast("Generator[Any]", stream)):
            for done, pixels in stream:
                found = self.encoder.encode(pixels, patches=True).patches
                for row, tokens in zip(done.tolist(), found, strict=True):
                    yield row, self._take(row, tokens)
                _stop_if(stop)

    def _take(self, row: int, tokens: NDArray[Any]) -> NDArray[np.float16]:
        vectors = normalised(tokens).astype(np.float16)
        if not self._closed:
            self._cache.put(self._owner, row, vectors)
        return vectors

    def _read(self, row: int) -> NDArray[Any]:
        assert self._store is not None
        kept = self._store.patches
        assert kept is not None
        return np.asarray(kept[row])

    def _on_error(self, row: int, x: int, y: int, error: Exception) -> None:
        self.failed.add(row)


def _kept_rows(
    store: EmbeddingStore | None, slide: Slide, encoder: Encoder, grid: Any
) -> dict[int, int]:
    """Find which of a store's rows hold the patch tokens of which tiles."""
    from napari_pathfm.embeddings import fits_slide

    if store is None or store.patches is None or not fits_slide(store, slide):
        return {}
    attrs = store.attrs
    if attrs.get("weights_revision") != encoder.revision:
        return {}
    if (attrs.get("tile_px"), attrs.get("mpp")) != (grid.px, grid.mpp):
        return {}
    ready = np.flatnonzero(store.done)
    theirs = {
        (x, y): row
        for row, (x, y) in zip(
            ready.tolist(), store.coords[ready].tolist(), strict=True
        )
    }
    return {
        row: theirs[x, y]
        for row, (x, y) in enumerate(grid.coords.tolist())
        if (x, y) in theirs
    }


def _stop_if(stop: Callable[[], bool]) -> None:
    if stop():
        raise Cancelled("stopped before all patches were encoded")
