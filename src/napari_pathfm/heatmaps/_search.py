"""Where else there is tissue like this: one tile against the stores of many slides."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps._places import embedded_rows
from napari_pathfm.heatmaps._vectors import UnitVectors, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps._places import Place


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
    stores: Sequence[EmbeddingStore],
    n: int = 20,
) -> list[Hit]:
    """Find the tiles most like a place, exactly, over many slides.

    Parameters
    ----------
    query : EmbeddingStore
        Of the slide with the place.
    places : sequence of places
        Level-0 points, outlines or shapely geometries; several mean their mean.
    stores : sequence of EmbeddingStore
        Where to look, one after the other; one at a time is in memory.
    n : int
        How many to give.

    Returns
    -------
    list of Hit
        The most similar first. The tiles of the place itself are left out.

    Raises
    ------
    StoreError
        No place is given, a store's vectors are of another kind, or a place is not
        embedded.
    OutsideSlideError
        A place holds no tissue.
    """
    from napari_pathfm.embeddings import check_comparable

    if not places:
        raise StoreError("search needs at least one place to look for")
    own = UnitVectors.of(query)
    rows = [embedded_rows(own.grid, own.done, place) for place in places]
    direction = normalised(
        np.stack([normalised(own.rows(found).mean(0)) for found in rows]).mean(0)
    )
    for store in stores:
        if not _same(store, query):
            check_comparable(own.attrs, store.attrs, (own.name, store.path.name))
    hits: list[Hit] = []
    for store in stores:
        same = _same(store, query)
        vectors = own if same else UnitVectors.of(store)
        scores = vectors.dot(direction)
        scores[~vectors.done] = -2
        if same:
            scores[np.concatenate(rows)] = -2
        hits += _best(store, vectors, scores, n)
    hits.sort(key=lambda hit: -hit.score)
    return hits[:n]


def _same(one: EmbeddingStore, other: EmbeddingStore) -> bool:
    return one.path.resolve() == other.path.resolve()


def _best(
    store: EmbeddingStore, vectors: UnitVectors, scores: np.ndarray, n: int
) -> list[Hit]:
    top = np.argsort(-scores, kind="stable")[:n]
    centres = vectors.grid.coords[top] + vectors.grid.tile_size / 2
    slide = str(vectors.attrs.get("slide_path", ""))
    return [
        Hit(str(store.path), slide, float(x), float(y), float(scores[row]))
        for (x, y), row in zip(centres, top, strict=True)
        if scores[row] > -2
    ]
