"""Features that were made elsewhere, put into a store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.embeddings._run import store_to_fill
from napari_pathfm.embeddings._store import EmbeddingStore, FailedTile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.slides import TileGrid

_ROWS = 4096  # at a time: few files are written, and little twice after a kill


def import_features(
    out: str | Path,
    attrs: dict[str, Any],
    grid: TileGrid,
    rows: NDArray[np.int64],
    features: NDArray[np.float32],
) -> EmbeddingStore:
    """Fill a store with features that are there already; resumes as a run does.

    Parameters
    ----------
    out : path
        The store's own folder.
    attrs : dict
        Its attributes, with ``failed`` where tiles could not be read.
    grid : TileGrid
        The tiles.
    rows : ndarray
        int64 ``(M,)``: the rows of `grid` that `features` are of.
    features : ndarray
        float32 ``(M, D)``.

    Raises
    ------
    StoreError
        If a store of another provenance is in the way, or a run fills it.
    OutputError
        If the store cannot be written.
    """
    from napari_pathfm.encoders import Features

    path = Path(out)
    attrs = dict(attrs)
    failed = [FailedTile(**tile) for tile in attrs.pop("failed", ())]
    with store_to_fill(path, attrs, grid, features.shape[1], None) as store:
        todo = np.flatnonzero(~store.done[rows])
        for start in range(0, len(todo), _ROWS):
            part = todo[start : start + _ROWS]
            pooled = features[part]
            store.write(rows[part], Features(pooled, pooled[:, None, None], pooled))
        if failed:
            store.list_failed(failed)
    return store
