"""What looks like this place: cosine similarity of every tile to clicked ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid, passed_on
from napari_pathfm.heatmaps._places import embedded_rows, plain
from napari_pathfm.heatmaps._vectors import UnitVectors, normalised

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps._places import Place

# Tiles that colours are spread by.
_LIMITS_OF = 50_000

Reduce = Literal["mean", "max"]


def similarity(
    store: EmbeddingStore | UnitVectors,
    like: Sequence[Place],
    unlike: Sequence[Place] = (),
    *,
    reduce: Reduce = "mean",
) -> Heatmap:
    """Cosine similarity of each tile to the tiles at chosen places.

    Parameters
    ----------
    store : EmbeddingStore or UnitVectors
        May still be filling. Whoever asks again and again reads `UnitVectors` once.
    like, unlike : sequence of places
        Level-0 points ``(x, y)``, outlines of three or more of them, or shapely
        geometries. An outline stands for the mean of its tiles.
    reduce : {"mean", "max"}
        With ``mean`` a tile's score is its cosine to the mean of the liked places'
        unit vectors, minus its cosine to the mean of the unliked ones'. With ``max``
        it is the largest cosine to a liked place minus the largest to an unliked one:
        several kinds of tissue can be liked without a mean that is neither.

    Returns
    -------
    Heatmap
        Values in -1..1, or -2..2 with unliked places; NaN where not yet embedded.

    Raises
    ------
    OutsideSlideError
        A place holds no tissue tile.
    StoreError
        The tile at a place is not embedded yet, or no place is given.
    """
    if not like:
        raise StoreError("similarity needs at least one point to be like")
    if reduce not in ("mean", "max"):
        raise ValueError(f"reduce is 'mean' or 'max', not {reduce!r}")
    vectors = store if isinstance(store, UnitVectors) else UnitVectors.of(store)
    score = _score(vectors, like, reduce)
    if unlike:
        score = score - _score(vectors, unlike, reduce)
    score[~vectors.done] = np.nan
    values, origin, stride = on_grid(vectors.grid, score)
    provenance = passed_on(vectors.attrs)
    provenance |= {"kind": "similarity", "store": vectors.name, "reduce": reduce}
    provenance |= {"like": [plain(p) for p in like]}
    provenance |= {"unlike": [plain(p) for p in unlike]}
    return Heatmap(
        values,
        origin,
        stride,
        vectors.attrs["slide_mpp"],
        "similarity",
        spread(score[vectors.done]),
        provenance,
    )


def _score(
    vectors: UnitVectors, places: Sequence[Place], reduce: Reduce
) -> NDArray[np.float32]:
    means = np.stack([_mean(vectors, place) for place in places])
    if reduce == "mean":
        return vectors.dot(normalised(means.mean(0)))
    best: NDArray[np.float32] = vectors.dot(normalised(means)).max(axis=1)
    return best


def _mean(vectors: UnitVectors, place: Place) -> NDArray[np.float32]:
    rows = embedded_rows(vectors.grid, vectors.done, place)
    return normalised(vectors.rows(rows).mean(0))


def spread(score: NDArray[np.float32]) -> tuple[float, float]:
    """Spread the colours from the least similar twentieth to the most similar tile."""
    # Every so many of them say the same, and sorting a million takes its time.
    step = max(1, len(score) // _LIMITS_OF)
    low, high = (float(v) for v in np.percentile(score[::step], [5, 99.5]))
    return (low, high) if high - low > 1e-6 else (low - 0.5, low + 0.5)
