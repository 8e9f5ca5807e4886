"""Pathology foundation models, live on whole-slide images."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore, embed_slide, open_store
    from napari_pathfm.encoders import Encoder, Features, load_encoder
    from napari_pathfm.errors import PathfmError
    from napari_pathfm.generators import Generator, SyntheticImage, load_generator
    from napari_pathfm.heatmaps import Heatmap, similarity
    from napari_pathfm.slides import (
        Slide,
        TileGrid,
        open_slide,
        tile_grid,
        tissue_mask,
    )
    from napari_pathfm.synthesis import vary, walk

__version__ = "0.1.0"

__all__ = [
    "EmbeddingStore",
    "Encoder",
    "Features",
    "Generator",
    "Heatmap",
    "PathfmError",
    "Slide",
    "SyntheticImage",
    "TileGrid",
    "__version__",
    "embed_slide",
    "load_encoder",
    "load_generator",
    "open_slide",
    "open_store",
    "similarity",
    "tile_grid",
    "tissue_mask",
    "vary",
    "walk",
]

# A room is imported when one of its names is first asked for: napari and the command
# line import this package at their start, long before anybody needs a model.
_ROOMS = {
    "slides": ("Slide", "TileGrid", "open_slide", "tile_grid", "tissue_mask"),
    "encoders": ("Encoder", "Features", "load_encoder"),
    "embeddings": ("EmbeddingStore", "embed_slide", "open_store"),
    "heatmaps": ("Heatmap", "similarity"),
    "generators": ("Generator", "SyntheticImage", "load_generator"),
    "synthesis": ("vary", "walk"),
    "errors": ("PathfmError",),
}
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{room}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
