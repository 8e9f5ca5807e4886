"""A store from the AnnData file that was written of one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._anndata import ALL, DIGEST, digest
from napari_pathfm.exports._h5 import OWN, open_h5
from napari_pathfm.exports._read_h5 import agree, own_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.slides import Slide


def import_anndata(
    path: str | Path, out: str | Path, *, slide: Slide | None = None
) -> EmbeddingStore:
    """Make a store of an AnnData file that `export_store_anndata` wrote.

    Parameters
    ----------
    path : path
        ``FILE.h5ad``; anndata may have written it anew, with columns of its own.
    out : path
        The store's own folder.
    slide : Slide, optional
        Where the slide lies now; it must be the one that the file names.

    Returns
    -------
    EmbeddingStore

    Raises
    ------
    StoreError
        The file was not written by this program, its ``X`` is not what was exported
        (scaled, sorted or cut: no longer what the encoder gave), or it belongs to
        another slide.
    OutputError
        The store cannot be written, or h5py is missing.
    """
    from napari_pathfm.embeddings import import_features

    file = Path(path)
    features, coords, attrs, told = _read(file)
    if digest(features) != told:
        raise StoreError(
            f"{file} holds an X that is not what was exported (scaled, sorted or cut): "
            "it is comparable with nothing; export the store again"
        )
    attrs, grid, rows = own_grid(file, attrs, coords)
    agree(file, attrs, {}, slide)
    if slide is not None:
        attrs["slide_path"] = str(slide.path)
    attrs["imported_from"] = file.name
    return import_features(out, attrs, grid, rows, features)


def _read(
    file: Path,
) -> tuple[NDArray[np.float32], NDArray[np.int64], dict[str, Any], str]:
    """Give features, corners, attributes, and what the features' digest was."""
    with open_h5(file) as h5:
        own = h5.get(f"uns/{OWN}")
        if own is None or ALL not in own or DIGEST not in own:
            raise StoreError(
                f"{file} does not say what made its vectors: only AnnData files that "
                "`export` wrote become stores"
            )
        try:
            features = np.asarray(h5["X"][()], np.float32)
            coords = np.stack([h5["obs/x"][()], h5["obs/y"][()]], axis=1)
            attrs = json.loads(own[ALL].asstr()[()])
            told = str(own[DIGEST].asstr()[()])
        # X may be sparse, a column of another kind, an attribute no JSON.
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise StoreError(f"{file} is damaged: {error}") from error
    return features, coords.astype(np.int64), attrs, told
