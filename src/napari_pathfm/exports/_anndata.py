"""A store as AnnData keeps tables: an ``.h5ad`` that scanpy and squidpy read.

Written by h5py to AnnData's documented form on disk (an ``encoding-type`` and an
``encoding-version`` on every element), as the library itself holds pandas back on some
Pythons that we serve.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._h5 import OWN, h5py
from napari_pathfm.exports._tables import tile_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Heatmap

SUFFIX = ".h5ad"

#: Under the attributes: all of them as JSON, and the checksum of ``X``.
ALL, DIGEST = "attributes", "features_sha256"


def export_store_anndata(
    store: EmbeddingStore, path: PathLike, heatmaps: Sequence[Heatmap] = ()
) -> int:
    """Write a store's features and places as an AnnData file.

    Parameters
    ----------
    store : EmbeddingStore
        Complete. Tiles that cannot be read are left out.
    path : path-like
        ``FILE.h5ad``.
    heatmaps : sequence of Heatmap
        Over the same slide; each becomes a column of ``obs``.

    Returns
    -------
    int
        Tiles written. ``X`` is float32 ``(N, D)``; ``obs`` has `tile_table`'s columns
        and ``x_um, y_um``, the centres in micrometres; ``obsm["spatial"]`` the centres
        in level-0 pixels ``(x, y)``, as squidpy counts; ``uns["napari_pathfm"]`` every
        attribute of the store but its folders, what is nested as JSON, all of them
        once more as JSON, and the checksum of ``X``.

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
    attrs = store.attrs
    coords, size = store.coords[done], store.grid.tile_size
    mpp = float(attrs["slide_mpp"])
    table = tile_table(
        coords,
        size,
        heatmaps=heatmaps,
        mpp=mpp,
        id_namespace=str(attrs.get("slide_fingerprint", "")),
    )
    centres = coords + size / 2
    ids = table.pop("id")
    obs = table | {"x_um": centres[:, 0] * mpp, "y_um": centres[:, 1] * mpp}
    features = store.features[done].astype(np.float32)
    names = [f"feature_{number}" for number in range(features.shape[1])]
    own = {key: value for key, value in attrs.items() if key != "slide_path"}
    own |= {ALL: json.dumps(own), DIGEST: digest(features)}
    with whole_file(path, SUFFIX) as neighbour, library.File(neighbour, "w") as file:
        _mark(file, "anndata", "0.1.0")
        _array(file, "X", features)
        _frame(file, "obs", ids, obs)
        _frame(file, "var", names, {})
        _mapping(file, "obsm", {"spatial": centres.astype(np.float64)})
        _mapping(file, "uns", {OWN: own})
        for empty in ("layers", "obsp", "varm", "varp"):
            _mapping(file, empty, {})
    return int(done.sum())


def digest(features: NDArray[np.float32]) -> str:
    """SHA-256 of the numbers, by which what was scaled or sorted since is told."""
    return hashlib.sha256(np.ascontiguousarray(features, "<f4").data).hexdigest()


def _mark(element: Any, kind: str, version: str = "0.2.0") -> None:
    element.attrs.update({"encoding-type": kind, "encoding-version": version})


def _array(group: Any, name: str, values: NDArray[Any]) -> None:
    _mark(group.create_dataset(name, data=values), "array")


def _strings(group: Any, name: str, values: Sequence[str]) -> None:
    text = np.asarray(list(values), object)
    made = group.create_dataset(name, data=text, dtype=h5py().string_dtype())
    _mark(made, "string-array")


def _frame(
    group: Any, name: str, index: Sequence[str], columns: Mapping[str, Any]
) -> None:
    frame = group.create_group(name)
    _mark(frame, "dataframe")
    # A slash would make groups within groups.
    named = {key.replace("/", "_"): values for key, values in columns.items()}
    frame.attrs["_index"] = "_index"
    frame.attrs.create("column-order", list(named), dtype=h5py().string_dtype())
    _strings(frame, "_index", index)
    for key, values in named.items():
        column = np.asarray(values)
        if column.dtype.kind in "biuf":
            _array(frame, key, column)
        else:
            _categories(frame, key, values)


def _categories(group: Any, name: str, values: Sequence[Any]) -> None:
    """Write words as AnnData writes a categorical; what is empty is missing."""
    known = sorted({str(value) for value in values if value})
    numbers = {word: number for number, word in enumerate(known)}
    made = group.create_group(name)
    _mark(made, "categorical")
    made.attrs["ordered"] = False
    codes = [numbers[str(value)] if value else -1 for value in values]
    _array(made, "codes", np.asarray(codes, np.int32))
    _strings(made, "categories", known)


def _mapping(group: Any, name: str, entries: Mapping[str, Any]) -> None:
    made = group.create_group(name)
    _mark(made, "dict", "0.1.0")
    for key, value in entries.items():
        if isinstance(value, np.ndarray):
            _array(made, key, value)
        elif isinstance(value, dict) and key == OWN:
            _mapping(made, key, value)
        elif isinstance(value, bool | int | float):
            _mark(made.create_dataset(key, data=value), "numeric-scalar")
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            made.create_dataset(key, data=text, dtype=h5py().string_dtype())
            _mark(made[key], "string")
