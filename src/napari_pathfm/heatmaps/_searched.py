"""Going through stores for what is most like a direction, and keeping the best."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_pathfm.errors import Cancelled, StoreError
from napari_pathfm.heatmaps._vectors import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore

    LeftOut: TypeAlias = Callable[[Path, StoreError], object]

# Vectors that are compared at a time; a whole number of a store's chunks.
_BLOCK = 16_384


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Say in one line that a store cannot be read.

    Raises
    ------
    StoreError
        Something in it is damaged or gone.
    """
    try:
        yield
    # What Zarr and its codecs raise for chunks that are cut off or changed.
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise StoreError(
            f"{path} cannot be read ({reason}): embed its slide again, or leave it out"
        ) from error


def comparable(
    stores: Iterable[EmbeddingStore | str | Path],
    with_: EmbeddingStore | None,
    on_left_out: LeftOut | None,
) -> list[EmbeddingStore]:
    """Open stores, and see that their vectors may be compared.

    Parameters
    ----------
    stores : iterable of EmbeddingStore or path
    with_ : EmbeddingStore or None
        What they must be comparable with; None for the first of them.
    on_left_out : callable (path, StoreError), optional
        Hears of those that are left out; without it the first is an error.
    """
    from napari_pathfm.embeddings import check_comparable, open_store

    fit: list[EmbeddingStore] = []
    for store in stores:
        path = Path(store) if isinstance(store, (str, Path)) else store.path
        try:
            opened = open_store(store) if isinstance(store, (str, Path)) else store
            first = with_ or (fit[0] if fit else opened)
            # A store may be searched with itself, whoever made its vectors.
            if with_ is None or path.resolve() != with_.path.resolve():
                names = first.path.name, path.name
                check_comparable(first.attrs, opened.attrs, names)
        except StoreError as error:
            if on_left_out is None:
                raise
            on_left_out(path, error)
        else:
            fit.append(opened)
    return fit


def scanned(
    query: EmbeddingStore,
    stores: Iterable[EmbeddingStore | str | Path],
    direction: NDArray[np.float32],
    on_left_out: LeftOut | None,
    progress: Callable[[int, int], None] | None,
    cancelled: Callable[[], bool] | None,
) -> Iterator[tuple[EmbeddingStore, NDArray[np.int64], NDArray[np.float32]]]:
    """Compare every vector of every store; give each store's rows and scores."""
    fit = comparable(stores, query, on_left_out)
    total, before = sum(map(len, fit)), 0
    for store in fit:
        rows, scores = [], []
        try:
            for start, vectors, done in blocks(store):
                if cancelled is not None and cancelled():
                    raise Cancelled("the search was stopped")
                rows.append(start + np.flatnonzero(done))
                scores.append((vectors @ direction)[done])
                if progress is not None:
                    progress(before + start + len(done), total)
        except StoreError as error:
            if on_left_out is None:
                raise
            on_left_out(store.path, error)
        else:
            yield store, np.concatenate(rows), np.concatenate(scores)
        before += len(store)


def blocks(
    store: EmbeddingStore,
) -> Iterator[tuple[int, NDArray[np.float32], NDArray[np.bool_]]]:
    """Read a store in blocks: first row, unit vectors, and which of them count.

    Raises
    ------
    StoreError
        It cannot be read.
    """
    with readable(store.path):
        # What is done is asked first: rows that finish meanwhile are left for later.
        done = store.done
    for start in range(0, len(done), _BLOCK):
        rows = slice(start, start + _BLOCK)
        with readable(store.path):
            vectors = normalised(store.features_of(rows))
        yield start, vectors, done[rows]


class Gathering:
    """Keeps the best tiles of several stores.

    Parameters
    ----------
    n : int
        How many.
    """

    def __init__(self, n: int) -> None:
        self._n = n
        self._found: list[tuple[Any, tuple[str, str, float, float, float]]] = []

    def add(
        self, store: EmbeddingStore, rows: NDArray[Any], scores: NDArray[np.float32]
    ) -> None:
        """Take the best rows of a store."""
        if not len(rows):
            return
        if len(rows) > self._n:
            # Equal scores stay in the order of rows, however many there are.
            least = np.partition(scores, -self._n)[-self._n]
            enough = scores >= least
            rows, scores = rows[enough], scores[enough]
        top = np.argsort(-scores, kind="stable")[: self._n]
        with readable(store.path):
            grid = store.grid
        centres = grid.coords[rows[top]] + grid.tile_size / 2
        slide = str(store.attrs.get("slide_path", ""))
        whose = store.attrs.get("slide_fingerprint") or str(store.path)
        for (x, y), score in zip(centres.tolist(), scores[top].tolist(), strict=True):
            tile = str(store.path), slide, float(x), float(y), float(score)
            self._found.append(((whose, x, y), tile))

    def found(self) -> list[tuple[str, str, float, float, float]]:
        """Give the best of all, each place of a slide once."""
        once: dict[Any, tuple[str, str, float, float, float]] = {}
        for place, tile in sorted(self._found, key=lambda one: -one[1][-1]):
            once.setdefault(place, tile)
        return list(once.values())[: self._n]
