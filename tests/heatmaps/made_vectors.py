"""Vectors in known clusters on a small lattice, without a slide or a model."""

from __future__ import annotations

import numpy as np

from napari_pathfm.heatmaps import UnitVectors
from napari_pathfm.slides import TileGrid

ATTRS = {
    "encoder": "made",
    "weights_revision": "r1",
    "pooling": "cls",
    "tile_px": 10,
    "mpp": 0.5,
    "icc_applied": False,
    "slide_mpp": 0.5,
    "slide": "made.svs",
    "slide_fingerprint": "f" * 8,
}


def lattice(rows: int, columns: int) -> TileGrid:
    """Tiles of 10 level-0 pixels, side by side, everywhere."""
    cells = np.stack(np.mgrid[:rows, :columns], axis=-1).reshape(-1, 2)
    return TileGrid(
        coords=(cells[:, ::-1] * 10).astype(np.int32),
        px=10,
        mpp=0.5,
        tile_size=10.0,
        stride=10,
        origin=(0, 0),
        shape=(rows, columns),
        cells=cells.astype(np.int32),
        mask={},
    )


def clustered(
    kinds: np.ndarray, *, dim: int = 256, noise: float = 0.03, seed: int = 0
) -> UnitVectors:
    """Vectors around one direction per kind, a kind per cell of the lattice."""
    rng = np.random.default_rng(seed)
    # The directions are the same whatever the seed: another slide, the same tissue.
    centres = np.random.default_rng(99).normal(size=(int(kinds.max()) + 1, dim))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    flat = kinds.ravel()
    features = centres[flat] + noise * rng.normal(size=(flat.size, dim))
    return UnitVectors(
        features.astype(np.float16),
        lattice(*kinds.shape),
        np.ones(flat.size, bool),
        dict(ATTRS),
        "made.zarr",
    )
