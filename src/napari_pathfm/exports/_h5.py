"""A store as TRIDENT and CLAM keep features: HDF5 with ``features`` and ``coords``.

The layout is TRIDENT's (``coords`` with the attributes ``patch_size``,
``patch_size_level0``, ``level0_magnification``, ``target_magnification``, ``overlap``,
``name``, ``level0_width``, ``level0_height``) and CLAM's (``patch_level``,
``downsample``), which agree on both datasets. What they have no word for, the encoder
and its weights first of all, stands in attributes of our own.
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError, StoreError
from napari_pathfm.exports._files import PathLike, whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore

#: Attribute of the file that holds a store's own attributes, as JSON.
OWN = "napari_pathfm"

SUFFIXES = (".h5", ".hdf5")

# By which objective powers are told from pixel sizes: 10x is 1 um, 40x is 0.25 um.
_UM_AT_1X = 10.0


def h5py() -> Any:
    """Import h5py, or say how to get it."""
    try:
        return import_module("h5py")
    except ImportError as error:
        raise OutputError(
            "HDF5 files need h5py: pip install 'napari-pathfm[h5]'"
        ) from error


def export_store_h5(store: EmbeddingStore, path: PathLike) -> int:
    """Write a store's features and coordinates to HDF5.

    Parameters
    ----------
    store : EmbeddingStore
        Complete. Tiles that cannot be read are left out.
    path : path-like
        ``FILE.h5``.

    Returns
    -------
    int
        Rows written: ``features`` float32 ``(N, D)`` (what those programs' models
        take; the store's own numbers are float16) and ``coords`` int64 ``(N, 2)``,
        level-0 ``(x, y)`` of the tiles' top-left corners.

    Raises
    ------
    StoreError
        If the store is not complete.
    OutputError
        If the file cannot be written, or h5py is missing.
    """
    done = store.done
    if not store.complete:
        raise StoreError(
            f"{store.path} is unfinished ({int(done.sum())} of {len(done)} tiles): run "
            "`embed` again, then export it"
        )
    library = h5py()
    own = {key: value for key, value in store.attrs.items() if key != "slide_path"}
    with whole_file(path, *SUFFIXES) as neighbour, library.File(neighbour, "w") as file:
        file.attrs[OWN] = json.dumps(own)
        features = file.create_dataset(
            "features", data=store.features[done].astype(np.float32)
        )
        features.attrs.update(_features_attrs(store.attrs))
        coords = file.create_dataset("coords", data=store.coords[done].astype(np.int64))
        coords.attrs.update(coords_attrs(store.attrs))
    return int(done.sum())


def _features_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": _stem(attrs),
        "encoder": attrs["encoder"],
        "weights_revision": attrs["weights_revision"],
        "pooling": attrs["pooling"],
    }


def coords_attrs(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Say where and how large the tiles are, in TRIDENT's and CLAM's words.

    Magnifications are those that give the tiles' size exactly: ``patch_size *
    level0_magnification / target_magnification`` is their side in level-0 pixels.
    ``patch_level`` stands there only where the tiles are a level's own pixels; CLAM
    knows no others.
    """
    grid = attrs["grid"]
    px, side = grid["px"], float(grid["tile_size"])
    width, height = attrs["slide_dimensions"]
    target = _UM_AT_1X / attrs["mpp"]
    words = {
        "patch_size": px,
        "patch_size_level0": round(side),
        "level0_magnification": _whole(target * side / px),
        "target_magnification": _whole(target),
        "overlap": round(px - (grid.get("step") or grid["stride"]) * px / side),
        "name": _stem(attrs),
        "level0_width": width,
        "level0_height": height,
        "mpp": attrs["mpp"],
        "level0_mpp": attrs["slide_mpp"],
    }
    level = re.fullmatch(r"level (\d+)", str(attrs.get("resampling")))
    if level:
        words["patch_level"] = int(level[1])
        words["downsample"] = np.asarray([side / px, side / px])
    return words


def _stem(attrs: Mapping[str, Any]) -> str:
    return str(attrs["slide"]).rpartition(".")[0] or str(attrs["slide"])


def _whole(value: float) -> float | int:
    return round(value) if abs(value - round(value)) < 1e-9 else value


def open_h5(path: Path) -> Any:
    """Open an HDF5 file for reading.

    Raises
    ------
    StoreError
        If it is none.
    """
    library = h5py()
    try:
        return library.File(path, "r")
    except OSError as error:
        raise StoreError(f"{path} cannot be read as HDF5: {error}") from error
