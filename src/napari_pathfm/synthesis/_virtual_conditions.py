"""What a generator is told at any place of a slide, from the slide's embeddings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.embeddings import fits_slide
from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.generators import GeneratorSpec
    from napari_pathfm.slides import Slide


class StoredConditions:
    """Embeddings of a slide's tiles, interpolated between their places.

    Parameters
    ----------
    store : EmbeddingStore
        Complete, of this slide, by the generator's encoder; vectors that begin with the
        CLS token.
    spec : GeneratorSpec
        Who is told.
    slide : Slide
        Whose embeddings they must be.

    Raises
    ------
    StoreError
        If the store is another slide's or another encoder's, unfinished, or its vectors
        hold no CLS token.
    """

    def __init__(
        self, store: EmbeddingStore, spec: GeneratorSpec, slide: Slide
    ) -> None:
        told = store.attrs
        if told.get("encoder") != spec.encoder:
            raise StoreError(
                f"{store.path} holds embeddings by {told.get('encoder')}, and "
                f"{spec.title} is conditioned on {spec.encoder}: embed the slide with "
                f"--encoder {spec.encoder}"
            )
        if not fits_slide(store, slide):
            raise StoreError(
                f"{store.path} does not hold the embeddings of {slide.path.name} as it "
                "is read now (another slide, pixel size or ICC setting): embed it anew"
            )
        if not str(told.get("pooling", "cls")).startswith("cls"):
            raise StoreError(f"the vectors of {store.path} hold no CLS token")
        if not store.complete:
            raise StoreError(
                f"{store.path} is not finished: run the same embed command again"
            )
        grid, done = store.grid, store.done
        if not done.any():
            raise StoreError(f"{store.path} holds no tile: there is nothing to go by")
        self._stride = float(grid.stride)
        cells = store.cells[done]
        #: Row of the vectors that stands for each cell of the grid; -1 is glass.
        self._rows = np.full(grid.shape, -1, np.int64)
        self._rows[tuple(cells.T)] = np.arange(len(cells))
        self._vectors = store.features[done][:, : spec.condition_dim]
        # Level-0 centre of the first cell's tile.
        x, y = (float(start) + grid.tile_size / 2 for start in grid.origin)
        self._origin = (y, x)

    @property
    def vectors(self) -> NDArray[np.float16]:
        """float16 ``(N, D)``: all that is gone by."""
        return self._vectors

    def at(self, x: float, y: float) -> NDArray[np.float32] | None:
        """Give the embedding at a level-0 place, float32 ``(D,)``; None on glass.

        Bilinear among the four tiles whose centres are around it, of which glass counts
        as nothing; a place whose nearest centre is glass is glass.
        """
        down = (y - self._origin[0]) / self._stride
        across = (x - self._origin[1]) / self._stride
        if self._row(round(down), round(across)) < 0:
            return None
        top, left = int(np.floor(down)), int(np.floor(across))
        total, weight = np.zeros(self._vectors.shape[1], np.float64), 0.0
        for r in (top, top + 1):
            for c in (left, left + 1):
                share = (1 - abs(down - r)) * (1 - abs(across - c))
                row = self._row(r, c)
                if row >= 0 and share > 0:
                    total += share * self._vectors[row].astype(np.float64)
                    weight += share
        return (total / weight).astype(np.float32)

    def tissue(
        self, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
    ) -> NDArray[np.bool_]:
        """Tell where `at` gives something, bool ``(len(y), len(x))``."""
        spans = []
        for axis, places in enumerate((y, x)):
            cells = np.rint((places - self._origin[axis]) / self._stride).astype(int)
            inside = (cells >= 0) & (cells < self._rows.shape[axis])
            spans.append((np.where(inside, cells, 0), inside))
        (rows, high), (columns, wide) = spans
        known = self._rows[np.ix_(rows, columns)] >= 0
        found: NDArray[np.bool_] = known & high[:, None] & wide[None]
        return found

    def _row(self, row: int, column: int) -> int:
        high, wide = self._rows.shape
        if not (0 <= row < high and 0 <= column < wide):
            return -1
        return int(self._rows[row, column])
