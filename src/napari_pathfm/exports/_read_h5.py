"""Features that TRIDENT, CLAM or this program wrote to HDF5, as a store.

Those of other programs do not say which encoder made them, with which weights and
pooling: whoever imports them says so. What nobody says is kept as ``"unknown"``, and
vectors of unknown origin are never compared with others.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._h5 import OWN, open_h5
from napari_pathfm.exports._h5_places import foreign_grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import EncoderSpec
    from napari_pathfm.slides import Slide, TileGrid

UNKNOWN = "unknown"


def import_h5(
    path: str | Path,
    out: str | Path,
    *,
    slide: Slide | None = None,
    encoder: str | None = None,
    pooling: str | None = None,
    revision: str | None = None,
) -> EmbeddingStore:
    """Make a store of the features in an HDF5 file.

    Parameters
    ----------
    path : path
        ``features`` ``(N, D)`` and ``coords`` ``(N, 2)``, from TRIDENT, CLAM or
        `export_store_h5`.
    out : path
        The store's own folder.
    slide : Slide, optional
        Whose features these are, with a known pixel size. Needed for files of other
        programs.
    encoder : str, optional
        Name in the catalogue of what made them. Needed for files of other programs.
    pooling : {"cls", "cls+mean"}, optional
        What stands for a tile; kept as unknown where not given.
    revision : str, optional
        Which weights, as `models` and stores name them; kept as unknown where not
        given.

    Returns
    -------
    EmbeddingStore

    Raises
    ------
    StoreError
        If the file is no such file, does not fit the slide or the encoder, says
        otherwise than was given, or a store of another provenance is in the way.
    UnknownModelError
        If the catalogue has no such encoder.
    MissingMppError
        If the slide's pixel size is unknown.
    OutputError
        If the store cannot be written, or h5py is missing.
    """
    from napari_pathfm.embeddings import import_features

    file = Path(path)
    with open_h5(file) as h5:
        features, coords = _datasets(file, h5)
        told = {
            "file": _plain(h5.attrs),
            "features": _plain(h5["features"].attrs),
            "coords": _plain(h5["coords"].attrs),
        }
    given = {"encoder": encoder, "pooling": pooling, "weights_revision": revision}
    own = told["file"].pop(OWN, None)
    if own is not None:
        attrs, grid, rows = own_grid(file, json.loads(own), coords)
        agree(file, attrs, given, slide)
        if slide is not None:
            attrs["slide_path"] = str(slide.path)
    else:
        spec = named_spec(file, encoder, features.shape[1], pooling)
        if slide is None:
            raise StoreError(f"{file} names no slide: give it with --slide")
        grid, rows = foreign_grid(file, slide, coords, told["coords"])
        attrs = foreign_attrs(slide, grid, spec, given)
    attrs["imported_from"] = file.name
    attrs["imported_attributes"] = told
    return import_features(out, attrs, grid, rows, features)


def _datasets(file: Path, h5: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    for name in ("features", "coords"):
        if name not in h5:
            raise StoreError(
                f"{file} has no dataset {name!r}: it holds no tile features"
            )
    features, coords = h5["features"][()], h5["coords"][()]
    # Early versions of both programs keep a batch of one slide.
    if features.ndim == 3 and len(features) == 1:
        features = features[0]
    if coords.ndim == 3 and len(coords) == 1:
        coords = coords[0]
    if features.ndim != 2 or coords.shape != (len(features), 2) or not len(features):
        raise StoreError(
            f"{file} holds features {features.shape} and coords {coords.shape}, not "
            "(N, D) and (N, 2)"
        )
    if (coords != np.rint(coords)).any():
        raise StoreError(f"{file} has tiles that do not begin at whole pixels")
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise StoreError(
            f"{file} holds numbers that are none, or too large for float16"
        )
    return features.astype(np.float32), coords.astype(np.int64)


def own_grid(
    file: Path, attrs: dict[str, Any], coords: NDArray[np.int64]
) -> tuple[dict[str, Any], TileGrid, NDArray[np.int64]]:
    """Give attributes, the whole grid, and the rows that the file has features of."""
    from napari_pathfm.slides import TileGrid

    failed = sorted(attrs.get("failed", ()), key=lambda tile: int(tile["row"]))
    lost = np.asarray([tile["row"] for tile in failed], np.int64)
    rows = np.setdiff1d(np.arange(len(coords) + len(lost)), lost)
    places = np.empty((len(coords) + len(lost), 2), np.int64)
    if len(rows) != len(coords):
        raise StoreError(f"{file} is damaged: it lists tiles that it cannot have")
    places[rows] = coords
    places[lost] = np.asarray([(t["x"], t["y"]) for t in failed]).reshape(-1, 2)
    stride = attrs["grid"]["stride"]
    cells = (places - attrs["grid"]["origin"]) // stride
    grid = TileGrid.from_attrs(attrs["grid"], cells[:, ::-1])
    if not np.array_equal(grid.coords, places):
        raise StoreError(f"{file} is damaged: its coords are not those of its grid")
    return attrs, grid, rows


def agree(
    file: Path, attrs: dict[str, Any], given: dict[str, str | None], slide: Slide | None
) -> None:
    """Refuse what was said otherwise than the file says."""
    for key, value in given.items():
        if value is not None and value != attrs[key]:
            words = key.replace("weights_", "")
            raise StoreError(
                f"{file} says {words} {attrs[key]!r}, not {value!r}: leave --{words} "
                "out"
            )
    if slide is not None and slide.fingerprint != attrs["slide_fingerprint"]:
        raise StoreError(f"{file} belongs to {attrs['slide']}, not to {slide.path}")


def named_spec(
    file: Path, encoder: str | None, dim: int, pooling: str | None
) -> EncoderSpec:
    """Find the encoder that a person names for vectors that do not say it."""
    from napari_pathfm.encoders import POOLINGS, encoder_spec

    if encoder is None:
        raise StoreError(
            f"{file} does not say which encoder made its features: name it with "
            "--encoder (see `models`)"
        )
    spec = encoder_spec(encoder)
    if pooling is not None and pooling not in POOLINGS:
        raise StoreError(f"no pooling {pooling!r}: choose {' or '.join(POOLINGS)}")
    wanted = [pooling] if pooling else list(POOLINGS)
    lengths = [spec.dim * len(name.split("+")) for name in wanted]
    if dim not in lengths:
        raise StoreError(
            f"{file} holds vectors of {dim} numbers; {spec.name} makes "
            f"{' or '.join(map(str, lengths))}: name the encoder that made them"
        )
    return spec


def foreign_attrs(
    slide: Slide, grid: TileGrid, spec: EncoderSpec, given: dict[str, str | None]
) -> dict[str, Any]:
    """Give a store's attributes; what nobody said is unknown."""
    from napari_pathfm.embeddings import slide_attrs

    return {
        **slide_attrs(slide, grid),
        "encoder": spec.name,
        "encoder_spec": spec.digest,
        "weights_revision": given["weights_revision"] or UNKNOWN,
        "pooling": given["pooling"] or UNKNOWN,
        "transform": UNKNOWN,
        "resampling": UNKNOWN,
        "icc_applied": UNKNOWN,
        "patches": False,
    }


def _plain(attrs: Any) -> dict[str, Any]:
    """Attributes as JSON knows them."""
    return {str(name): _json(value) for name, value in attrs.items()}


def _json(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str | int | float | bool) else str(value)
