"""Maps that need no labels: principal components, clusters, outliers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps._category_map import CategoryMap
from napari_pathfm.heatmaps._classes import classes_named
from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid, passed_on

if TYPE_CHECKING:
    from typing import Any

    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._vectors import UnitVectors

# Tiles that clusters are found on, that their number is chosen on, and that outliers
# are measured against. More change the figures little and cost much.
_LEARN = 20_000
_CHOOSE = 2_000
_REFERENCE = 4_096
_MOST_CLUSTERS = 10
_NEIGHBOURS = 10


def components(vectors: UnitVectors, n: int = 3) -> list[Heatmap]:
    """Give the tiles' principal components, the one of most variance first.

    Parameters
    ----------
    vectors : UnitVectors
    n : int
        How many.

    Returns
    -------
    list of Heatmap
        A component's sign is such that its largest loading is positive; its limits
        are its 1st and 99th percentiles. ``provenance["explained"]`` is its share of
        the variance.

    Raises
    ------
    StoreError
        Fewer than two tiles are embedded, or more components than dimensions wanted.
    """
    if not 1 <= n <= vectors.dim:
        raise StoreError(f"{vectors.name} has 1 to {vectors.dim} components, not {n}")
    mean, covariance = _moments(vectors)
    values, axes = np.linalg.eigh(covariance)
    axes, share = axes[:, ::-1][:, :n].T, values[::-1][:n] / max(values.sum(), 1e-12)
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(n), largest])[:, None]
    scores = np.full((len(vectors), n), np.nan, np.float32)
    for rows in vectors.blocks():
        scores[rows] = (vectors.block(rows) - mean) @ axes.T
    scores[~vectors.done] = np.nan
    return [
        _heatmap(
            vectors,
            scores[:, i],
            f"component {i + 1}",
            _spread(scores[vectors.done, i]),
            {"kind": "component", "component": i + 1, "explained": float(share[i])},
        )
        for i in range(n)
    ]


def clusters(
    vectors: UnitVectors, k: int | None = None, *, seed: int = 0
) -> CategoryMap:
    """Group the tiles by k-means on unit vectors.

    Parameters
    ----------
    vectors : UnitVectors
    k : int, optional
        How many groups; without it the number from 2 to 10 whose mean silhouette on a
        sample is highest.
    seed : int
        Of the sample and the starting centres.

    Returns
    -------
    CategoryMap
        Cluster 1 is the largest. ``provenance["silhouettes"]`` are those of each
        number that was tried.

    Raises
    ------
    StoreError
        There are fewer embedded tiles than clusters asked for.
    """
    from sklearn.cluster import KMeans

    rows = np.flatnonzero(vectors.done)
    if len(rows) < 3 or (k is not None and not 2 <= k < len(rows)):
        raise StoreError(
            f"{vectors.name} has {len(rows)} embedded tiles: "
            f"too few for {k or 'several'} clusters, of which there are at least 2"
        )
    learn = vectors.rows(_some(rows, _LEARN, seed))
    silhouettes: dict[str, float] = {}
    if k is None:
        silhouettes = _silhouettes(learn[:_CHOOSE], seed)
        k = int(max(silhouettes, key=lambda key: silhouettes[key]))
    model = KMeans(k, n_init=4, random_state=seed).fit(learn)
    number = np.zeros(len(vectors), np.float32)
    for block in vectors.blocks():
        number[block] = model.predict(vectors.block(block)) + 1
    order = np.argsort(-np.bincount(number[rows].astype(int), minlength=k + 1)[1:])
    rank = np.zeros(k + 1, np.float32)
    rank[order + 1] = np.arange(1, k + 1)
    number = rank[number.astype(int)]
    number[~vectors.done] = 0
    values, origin, stride = on_grid(vectors.grid, number)
    provenance = passed_on(vectors.attrs) | {"kind": "clusters", "k": k, "seed": seed}
    return CategoryMap(
        np.nan_to_num(values).astype(np.int16),
        classes_named(f"cluster {i + 1}" for i in range(k)),
        origin,
        stride,
        vectors.attrs["slide_mpp"],
        "clusters",
        provenance | {"store": vectors.name, "silhouettes": silhouettes},
        number.astype(np.int16),
    )


def outliers(vectors: UnitVectors, *, seed: int = 0) -> Heatmap:
    """Tell how unlike the rest each tile is.

    Parameters
    ----------
    vectors : UnitVectors
    seed : int
        Of the sample that tiles are compared with.

    Returns
    -------
    Heatmap
        Mean cosine distance to the ten nearest of a sample of at most 4,096 tiles.

    Raises
    ------
    StoreError
        Fewer than three tiles are embedded.
    """
    rows = np.flatnonzero(vectors.done)
    if len(rows) < 3:
        raise StoreError(f"{vectors.name} has too few embedded tiles to find outliers")
    sample = np.sort(_some(rows, _REFERENCE, seed))
    reference = vectors.rows(sample)
    nearest = min(_NEIGHBOURS, len(sample) - 1)
    place = np.full(len(vectors), -1)
    place[sample] = np.arange(len(sample))
    distance = np.full(len(vectors), np.nan, np.float32)
    for block in vectors.blocks(2_048):
        cosines = vectors.block(block) @ reference.T
        own = place[block]
        # A tile of the sample is not its own neighbour.
        cosines[np.flatnonzero(own >= 0), own[own >= 0]] = -2
        best = np.partition(cosines, -nearest, axis=1)[:, -nearest:]
        distance[block] = 1 - best.mean(axis=1)
    distance[~vectors.done] = np.nan
    facts = {"kind": "outliers", "neighbours": nearest, "sample": len(sample)}
    limits = _spread(distance[vectors.done])
    return _heatmap(vectors, distance, "outliers", limits, facts | {"seed": seed})


def _moments(vectors: UnitVectors) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and covariance of the embedded tiles, a block at a time."""
    count, dim = int(vectors.done.sum()), vectors.dim
    if count < 2:
        raise StoreError(f"{vectors.name} has too few embedded tiles for components")
    total, products = np.zeros(dim), np.zeros((dim, dim))
    for rows in vectors.blocks():
        # Rows that are not embedded are zero and add nothing.
        block = vectors.block(rows)
        total += block.sum(axis=0, dtype=np.float64)
        products += block.T @ block
    mean = total / count
    return mean, products / count - np.outer(mean, mean)


def _silhouettes(sample: NDArray[np.float32], seed: int) -> dict[str, float]:
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    found = {}
    for k in range(2, min(_MOST_CLUSTERS, len(sample) - 1) + 1):
        labels = KMeans(k, n_init=2, random_state=seed).fit_predict(sample)
        if len(np.unique(labels)) > 1:
            found[str(k)] = round(float(silhouette_score(sample, labels)), 4)
    return found or {"2": 0.0}


def _some(rows: NDArray[np.int64], most: int, seed: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.random.default_rng(seed).choice(rows, most, replace=False)


def _spread(values: NDArray[np.float32]) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(values, [1, 99]))
    return (low, high) if high - low > 1e-6 else (low - 0.5, low + 0.5)


def _heatmap(
    vectors: UnitVectors,
    values: NDArray[np.float32],
    name: str,
    limits: tuple[float, float],
    facts: dict[str, Any],
) -> Heatmap:
    cells, origin, stride = on_grid(vectors.grid, values)
    provenance = passed_on(vectors.attrs) | {"store": vectors.name} | facts
    mpp = vectors.attrs["slide_mpp"]
    return Heatmap(cells, origin, stride, mpp, name, limits, provenance)
