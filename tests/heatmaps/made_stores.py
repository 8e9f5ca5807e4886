"""Embedding stores on disk of vectors that are made, without a slide or a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from made_vectors import ATTRS, lattice

from napari_pathfm.embeddings._create import create_store
from napari_pathfm.embeddings._store import FORMAT, VERSION
from napari_pathfm.encoders import Features

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore

DIM = 24


def made_store(
    path: Path,
    rows: int = 8,
    columns: int = 10,
    *,
    seed: int = 0,
    done: np.ndarray | None = None,
    vectors: np.ndarray | None = None,
    **changes: Any,
) -> EmbeddingStore:
    """Fill a store whose tiles are 10 level-0 pixels wide with random vectors."""
    grid = lattice(rows, columns)
    attrs = {**ATTRS, "format": FORMAT, "version": VERSION, "grid": grid.to_attrs()}
    attrs |= {"slide_fingerprint": f"fingerprint {seed}", "slide": f"{path.stem}.svs"}
    attrs |= {"slide_path": f"/slides/{path.stem}.svs"}
    if vectors is None:
        vectors = np.random.default_rng(seed).normal(size=(len(grid.coords), DIM))
    dim = vectors.shape[1]
    store = create_store(path, attrs | changes, grid, dim, None)
    which = np.arange(len(vectors)) if done is None else np.flatnonzero(done)
    if not len(which):
        return store
    pooled = vectors[which].astype(np.float32)
    store.write(which, Features(pooled, np.zeros((0, 0, 0, 0), np.float32), pooled))
    return store
