"""What looks like this place: cosine similarity of every tile to clicked points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import OutsideSlideError, StoreError
from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.slides import TileGrid

    Point = tuple[float, float]

# Attributes of a store that a heatmap passes on, so that it can be made again. No path
# is among them: heatmaps are handed to others, and a folder's name can be a patient's.
_PASSED_ON = (
    "encoder",
    "weights_revision",
    "slide",
    "slide_fingerprint",
    "slide_mpp",
    "tile_px",
    "mpp",
    "software",
)


def similarity(
    store: EmbeddingStore, like: Sequence[Point], unlike: Sequence[Point] = ()
) -> Heatmap:
    """Cosine similarity of each tile to the tiles at clicked points.

    The score of a tile is its cosine to the mean of the liked tiles' unit vectors,
    minus its cosine to the mean of the unliked ones' if there are any. Tiles that are
    not yet embedded are NaN.

    Parameters
    ----------
    store : EmbeddingStore
        May still be filling.
    like, unlike : sequence of (float, float)
        Level-0 ``(x, y)``.

    Returns
    -------
    Heatmap
        Values in -1..1, or -2..2 with unliked points.

    Raises
    ------
    OutsideSlideError
        If a point lies on no tissue tile.
    StoreError
        If the tile at a point is not embedded yet, or no point is given.
    """
    if not like:
        raise StoreError("similarity needs at least one point to be like")
    grid, done = store.grid, store.done
    unit = _unit(store.features.astype(np.float32))
    score = unit @ _direction(unit, grid, done, like)
    if unlike:
        score = score - unit @ _direction(unit, grid, done, unlike)
    score[~done] = np.nan
    values, origin = on_grid(grid, score)
    provenance = {key: store.attrs[key] for key in _PASSED_ON}
    provenance |= {"kind": "similarity", "store": store.path.name}
    provenance |= {"like": _plain(like), "unlike": _plain(unlike)}
    return Heatmap(
        values,
        origin,
        grid.stride,
        store.attrs["slide_mpp"],
        "similarity",
        _limits(score[done]),
        provenance,
    )


def _direction(
    unit: NDArray[np.float32],
    grid: TileGrid,
    done: NDArray[np.bool_],
    points: Sequence[Point],
) -> NDArray[np.float32]:
    rows = [_row_at(grid, done, point) for point in points]
    mean: NDArray[np.float32] = unit[rows].mean(0)
    return mean / max(float(np.linalg.norm(mean)), 1e-12)


def _row_at(grid: TileGrid, done: NDArray[np.bool_], point: Point) -> int:
    row = grid.index_at(*point)
    if row is None:
        raise OutsideSlideError(
            f"there is no tissue tile at ({point[0]:g}, {point[1]:g}): "
            "choose a point on tissue, in level-0 pixels"
        )
    if not done[row]:
        raise StoreError(
            f"the tile at ({point[0]:g}, {point[1]:g}) is not embedded yet: "
            "let `napari-pathfm embed` finish"
        )
    return row


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: NDArray[np.float32] = features / np.maximum(norms, 1e-12)
    return unit


def _limits(score: NDArray[np.float32]) -> tuple[float, float]:
    """Spread the colours from the least similar twentieth to the most similar tile."""
    low, high = (float(v) for v in np.percentile(score, [5, 99.5]))
    return (low, high) if high - low > 1e-6 else (low - 0.5, low + 0.5)


def _plain(points: Sequence[Point]) -> list[list[float]]:
    return [[float(x), float(y)] for x, y in points]
