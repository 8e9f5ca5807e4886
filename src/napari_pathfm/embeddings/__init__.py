"""Whole-slide embeddings: the run, and the store it fills."""

from napari_pathfm.embeddings._cluster import (
    EncoderRecipe,
    cluster_client,
    threads_for,
)
from napari_pathfm.embeddings._entries import SlideEntry, slide_entries
from napari_pathfm.embeddings._found import find_stores
from napari_pathfm.embeddings._import import import_features
from napari_pathfm.embeddings._many import RunSettings, embed_slides
from napari_pathfm.embeddings._many_on_cluster import embed_slides_on
from napari_pathfm.embeddings._provenance import (
    check_comparable,
    comparable_facts,
    fits_slide,
    slide_attrs,
)
from napari_pathfm.embeddings._report import SlideReport, summary
from napari_pathfm.embeddings._run import embed_slide, store_path
from napari_pathfm.embeddings._store import (
    FORMAT,
    EmbeddingStore,
    FailedTile,
    open_store,
)

__all__ = [
    "FORMAT",
    "EmbeddingStore",
    "EncoderRecipe",
    "FailedTile",
    "RunSettings",
    "SlideEntry",
    "SlideReport",
    "check_comparable",
    "cluster_client",
    "comparable_facts",
    "embed_slide",
    "embed_slides",
    "embed_slides_on",
    "find_stores",
    "fits_slide",
    "import_features",
    "open_store",
    "slide_attrs",
    "slide_entries",
    "store_path",
    "summary",
    "threads_for",
]
