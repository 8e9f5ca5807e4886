"""A store as AnnData keeps tables: an ``.h5ad`` that scanpy and squidpy read.

Written by h5py to AnnData's documented form on disk, as the library itself holds pandas
back on some Pythons that we serve.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._anndata_form import (
    mark,
    put_array,
    put_frame,
    put_mapping,
)
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
    own = own_words(attrs, features)
    with whole_file(path, SUFFIX) as neighbour, library.File(neighbour, "w") as file:
        mark(file, "anndata", "0.1.0")
        put_array(file, "X", features)
        put_frame(file, "obs", ids, obs)
        put_frame(file, "var", names, {})
        put_mapping(file, "obsm", {"spatial": centres.astype(np.float64)})
        put_mapping(file, "uns", {OWN: own}, nested=(OWN,))
        for empty in ("layers", "obsp", "varm", "varp"):
            put_mapping(file, empty, {})
    return int(done.sum())


def own_words(
    attrs: Mapping[str, Any], features: NDArray[np.float32]
) -> dict[str, Any]:
    """Give what ``uns`` keeps of a store's attributes, and by which ``X`` is known."""
    own = {key: value for key, value in attrs.items() if key != "slide_path"}
    return own | {ALL: json.dumps(own), DIGEST: digest(features)}


def digest(features: NDArray[np.float32]) -> str:
    """SHA-256 of the numbers, by which what was scaled or sorted since is told."""
    return hashlib.sha256(np.ascontiguousarray(features, "<f4").data).hexdigest()
