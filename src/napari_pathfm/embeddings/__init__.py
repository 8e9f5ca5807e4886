"""Whole-slide embeddings: the run, and the store it fills."""

from napari_pathfm.embeddings._provenance import fits_slide
from napari_pathfm.embeddings._run import embed_slide, store_path
from napari_pathfm.embeddings._store import EmbeddingStore, FailedTile, open_store

__all__ = [
    "EmbeddingStore",
    "FailedTile",
    "embed_slide",
    "fits_slide",
    "open_store",
    "store_path",
]
