"""Where else there is tissue like this: places of one slide against many slides."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps._places import embedded_rows, rows_at
from napari_pathfm.heatmaps._search_index import SearchIndex
from napari_pathfm.heatmaps._searched import Gathering, readable, scanned
from napari_pathfm.heatmaps._vectors import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps._places import Place
    from napari_pathfm.heatmaps._searched import LeftOut

# An index is asked for so many times as many as are wanted: what it takes for the
# nearest is sorted anew by the stored vectors. At 4 it missed 1 of 1,000 in
# benchmarks/search.py.
_CANDIDATES = 4


class Hit(NamedTuple):
    """A tile that was found.

    Attributes
    ----------
    store : str
        Path of its store.
    slide : str
        Path of its slide, as the store remembers it.
    x, y : float
        Level-0 pixels: the centre of the tile.
    score : float
        Cosine to what was searched for.
    """

    store: str
    slide: str
    x: float
    y: float
    score: float


def search(
    query: EmbeddingStore,
    places: Sequence[Place],
    among: Iterable[EmbeddingStore | str | Path] | SearchIndex,
    n: int = 20,
    *,
    others: bool = False,
    on_left_out: LeftOut | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[Hit]:
    """Find the tiles most like a place, over many slides.

    Parameters
    ----------
    query : EmbeddingStore
        Of the slide with the place.
    places : sequence of places
        Level-0 points, outlines or shapely geometries; several mean their mean.
    among : iterable of EmbeddingStore or path, or SearchIndex
        Where to look. Stores are gone through one after the other, exactly, 16,384
        vectors in memory at a time. An index finds candidates, whose scores are then
        computed from the stored vectors: they are exact, but a tile may be missed.
    n : int
        How many to give; fewer where there are no more.
    others : bool
        Leave out all of the query's own slide, not only the places themselves.
    on_left_out : callable (path, StoreError), optional
        Hears of each store that cannot be read, and of each whose vectors are of
        another kind (`IncomparableError`); the search goes on without it, unless this
        raises the error. Where none is given, it is raised.
    progress : callable (done, total), optional
        Hears of the tiles looked at.
    cancelled : callable, optional
        Asked between blocks whether to stop.

    Returns
    -------
    list of Hit
        The most similar first. The tiles of the places themselves are left out; a tile
        that several stores of its slide have is given once.

    Raises
    ------
    StoreError
        No place is given, a store cannot be read, its vectors are of another kind, a
        place is not embedded, or a store has changed since it went into the index.
    OutsideSlideError
        A place holds no tissue.
    Cancelled
        `cancelled` said so.
    """
    from napari_pathfm.embeddings import check_comparable

    if not places:
        raise StoreError("search needs at least one place to look for")
    grid, done = query.grid, query.done
    rows = [embedded_rows(grid, done, place) for place in places]
    means = [normalised(_vectors(query, found).mean(0)) for found in rows]
    direction = normalised(np.stack(means).mean(0))
    own = _Own(query, places, others)
    looked: Iterator[tuple[EmbeddingStore, NDArray[Any], NDArray[Any]]]
    if isinstance(among, SearchIndex):
        check_comparable(query.attrs, among.attrs, (query.path.name, among.path.name))
        looked = _nearest(among, direction, n, own)
    else:
        among = list(among)
        looked = scanned(query, among, direction, on_left_out, progress, cancelled)
    best = Gathering(n)
    for store, there, scores in looked:
        keep = ~own.among(store, there)
        best.add(store, there[keep], scores[keep])
    return [Hit(*found) for found in best.found()]


class _Own:
    """Tells which tiles are what is searched for, and so no answer."""

    def __init__(
        self, query: EmbeddingStore, places: Sequence[Place], others: bool
    ) -> None:
        self._query = query
        self._places = places
        self._others = others

    def among(self, store: EmbeddingStore, rows: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each row of a store whether it is left out."""
        fingerprint = self._query.attrs.get("slide_fingerprint")
        same = store.path.resolve() == self._query.path.resolve()
        known = fingerprint not in (None, "", "unknown")
        if not (
            same or (known and store.attrs.get("slide_fingerprint") == fingerprint)
        ):
            return np.zeros(len(rows), bool)
        if self._others:
            return np.ones(len(rows), bool)
        grid = store.grid
        found = [rows_at(grid, place) for place in self._places]
        return np.isin(rows, np.concatenate(found))


def _nearest(
    index: SearchIndex, direction: NDArray[np.float32], n: int, own: _Own
) -> Iterator[tuple[EmbeddingStore, NDArray[Any], NDArray[np.float32]]]:
    """Ask an index for more and more until enough of it is an answer."""
    wanted = _CANDIDATES * n
    while True:
        found = index.nearest(direction, wanted)
        left = sum(int((~own.among(store, rows)).sum()) for store, rows in found)
        if left >= 2 * n or wanted >= len(index):
            break
        wanted *= _CANDIDATES
    for store, rows in found:
        yield store, rows, _vectors(store, rows) @ direction


def _vectors(store: EmbeddingStore, rows: NDArray[Any]) -> NDArray[np.float32]:
    with readable(store.path):
        return normalised(store.features_of(rows))
