"""Tiles and features of wsidata's folders, LazySlide's among them, as a store.

LazySlide names the model in a table's name alone, as whoever ran it chose: which
encoder that is, with which weights and pooling, is for the person to say. What nobody
says is kept as ``"unknown"``, as for HDF5.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._anndata import ALL, DIGEST, digest
from napari_pathfm.exports._h5 import OWN
from napari_pathfm.exports._h5_places import lay_grid
from napari_pathfm.exports._read_h5 import agree, foreign_attrs, named_spec, own_grid
from napari_pathfm.exports._wsidata import TILE_ID, pyarrow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.slides import Slide, TileGrid


def import_wsidata(
    path: str | Path,
    out: str | Path,
    *,
    slide: Slide | None = None,
    table: str | None = None,
    encoder: str | None = None,
    pooling: str | None = None,
    revision: str | None = None,
) -> EmbeddingStore:
    """Make a store of a features table in a folder of wsidata's.

    Parameters
    ----------
    path : path
        ``SLIDE.zarr``: SpatialData with square tiles among its shapes.
    out : path
        The store's own folder.
    slide : Slide, optional
        Whose tiles these are, with a known pixel size. Needed unless
        `export_store_wsidata` wrote the table.
    table : str, optional
        Name of the features; needed where there are several.
    encoder, pooling, revision : str, optional
        As for `import_h5`.

    Returns
    -------
    EmbeddingStore

    Raises
    ------
    StoreError
        If the folder is no such folder, does not fit the slide or the encoder, says
        otherwise than was given, or its tiles are not square, not at whole pixels or
        on no common lattice. If the table is ours and its ``X`` is not what was
        exported.
    UnknownModelError
        If the catalogue has no such encoder.
    MissingMppError
        If the slide's pixel size is unknown.
    OutputError
        If the store cannot be written, or pyarrow is missing.
    """
    from napari_pathfm.embeddings import import_features

    folder = Path(path)
    read = pyarrow()[1].read_table  # says what is missing before all else
    try:
        root = _open(folder)
        name = _table_name(folder, root, table)
        kept = root[f"tables/{name}"]
        region = str(kept.attrs["region"])
        features = _features(folder, name, kept)
        corners, side = _boxes(folder, root, region, read)
        coords = _joined(folder, name, corners, kept["obs"][_instance(kept)][:])
        own = _own(kept)
    # A damaged folder leads Zarr, its codecs and pyarrow anywhere.
    except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(
            f"{folder} is no folder of wsidata, or it is damaged: {reason}"
        ) from error
    given = {"encoder": encoder, "pooling": pooling, "weights_revision": revision}
    if own is not None:
        attrs, told = own
        if digest(features) != told:
            raise StoreError(
                f"{folder} holds an X in {name} that is not what was exported (scaled, "
                "sorted or cut): it is comparable with nothing; export the store again"
            )
        attrs, grid, rows = own_grid(folder, attrs, coords)
        agree(folder, attrs, given, slide)
        if slide is not None:
            attrs["slide_path"] = str(slide.path)
    else:
        spec = named_spec(folder, encoder, features.shape[1], pooling)
        if slide is None:
            raise StoreError(f"{folder} names no slide: give it with --slide")
        said = dict(root.attrs)
        grid, rows = _grid(folder, slide, coords, side, said, region)
        attrs = foreign_attrs(slide, grid, spec, given)
        attrs["imported_attributes"] = {
            "table": name,
            "tile_spec": said["tile_spec"][region],
        }
    attrs["imported_from"] = folder.name
    return import_features(out, attrs, grid, rows, features)


def in_level0(folder: Path, name: str, attrs: Mapping[str, Any]) -> None:
    """Refuse shapes that SpatialData would move: wsidata's are in level-0 pixels."""
    for transform in attrs["coordinateTransformations"]:
        if transform["type"] != "identity":
            raise StoreError(
                f"{folder} does not keep its {name} in level-0 pixels but moved by "
                f"a transformation ({transform['type']})"
            )


def _open(folder: Path) -> Any:
    import zarr

    if not folder.is_dir():
        raise StoreError(f"{folder} does not exist, or is no folder")
    root = zarr.open_group(folder, mode="r")
    if "tables" not in root or "shapes" not in root:
        raise StoreError(
            f"{folder} holds no tables and shapes: it is no SpatialData folder"
        )
    return root


def _table_name(folder: Path, root: Any, table: str | None) -> str:
    """Choose the table: the one that was named, or the only one of tiles."""
    known = sorted(
        name
        for name, kept in root["tables"].groups()
        if kept.attrs.get("region") is not None
    )
    if table is None and len(known) == 1:
        return str(known[0])
    if table is None or table not in known:
        listed = ", ".join(known) or "none"
        asked = "say which with --table" if table is None else f"not {table!r}"
        raise StoreError(f"{folder} holds features of tiles in {listed}: {asked}")
    return table


def _features(folder: Path, name: str, kept: Any) -> NDArray[np.float32]:
    x = kept["X"]
    if not hasattr(x, "shape") or len(x.shape) != 2 or not x.shape[0]:
        raise StoreError(
            f"{folder} holds no dense features (N, D) in {name}: sparse tables are "
            "counts, not what an encoder gives"
        )
    features = np.asarray(x[:], np.float32)
    with np.errstate(over="ignore"):
        half = features.astype(np.float16)
    if not np.isfinite(half).all():
        raise StoreError(
            f"{folder} holds numbers in {name} that are none, or too large for float16"
        )
    return features


def _instance(kept: Any) -> str:
    return str(kept.attrs.get("instance_key", TILE_ID))


def _boxes(
    folder: Path, root: Any, region: str, read: Any
) -> tuple[dict[str, tuple[int, int]], float]:
    """Give each tile's corner by its id, and the side of all of them."""
    import shapely

    in_level0(folder, region, root[f"shapes/{region}"].attrs)
    columns = read(folder / "shapes" / region / "shapes.parquet")
    boxes = shapely.from_wkb(columns["geometry"].to_numpy(), on_invalid="ignore")
    bounds = shapely.bounds(boxes)
    count = len(bounds)
    named = TILE_ID in columns.column_names
    ids = columns[TILE_ID].to_pylist() if named else list(range(count))
    sides = bounds[:, 2:] - bounds[:, :2]
    if not count or not np.isfinite(bounds).all() or np.ptp(sides) > 1e-6:
        raise StoreError(f"{folder}: {region} are not squares of one size")
    corners = np.rint(bounds[:, :2])
    if np.abs(corners - bounds[:, :2]).max() > 1e-6:
        raise StoreError(f"{folder}: {region} do not begin at whole pixels of level 0")
    places = [(x, y) for x, y in corners.astype(np.int64).tolist()]
    return dict(zip(map(str, ids), places, strict=True)), float(sides[0, 0])


def _joined(
    folder: Path, name: str, corners: Mapping[str, tuple[int, int]], ids: Any
) -> NDArray[np.int64]:
    """Put the tiles into the order of the table's rows."""
    wanted = [str(one) for one in np.asarray(ids).tolist()]
    lost = [one for one in wanted if one not in corners]
    if lost:
        raise StoreError(
            f"{folder} has no tile {lost[0]!r}, of which {name} has features: the "
            "tiles were made anew since"
        )
    return np.asarray([corners[one] for one in wanted], np.int64)


def _own(kept: Any) -> tuple[dict[str, Any], str] | None:
    """Give the store's attributes and the checksum of X, if the table is ours."""
    own = kept.get(f"uns/{OWN}")
    if own is None:
        return None
    return json.loads(str(own[ALL][()])), str(own[DIGEST][()])


def _grid(
    folder: Path,
    slide: Slide,
    coords: NDArray[np.int64],
    side: float,
    said: Mapping[str, Any],
    region: str,
) -> tuple[TileGrid, NDArray[np.int64]]:
    properties = said.get("slide_properties", {})
    height, width = properties.get("shape", slide.dimensions[::-1])
    if (width, height) != slide.dimensions:
        raise StoreError(
            f"{folder} belongs to a slide of {width} x {height} px, and "
            f"{slide.path.name} has {slide.dimensions[0]} x {slide.dimensions[1]}"
        )
    mpp = slide.require_mpp()
    if not math.isclose(properties.get("mpp") or mpp, mpp, rel_tol=1e-3):
        raise StoreError(
            f"{folder} says {properties['mpp']} um per pixel, and {slide.path.name} "
            f"{mpp}: say with --mpp which is right"
        )
    try:
        spec = said["tile_spec"][region]
        px, step = int(spec["width"]), float(spec["stride_width"])
        downsample = float(spec["base_downsample"])
        square = spec["height"] == px and spec["stride_height"] == step
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{folder} does not say how its {region} are read: its attribute tile_spec "
            "is missing or damaged"
        ) from error
    if not square or abs(px * downsample - side) > 1:
        raise StoreError(
            f"{folder}: {region} are not of the size that tile_spec says, or not square"
        )
    asked = downsample * mpp
    if math.isclose(spec.get("mpp") or asked, asked, rel_tol=1e-6):
        asked = spec.get("mpp") or asked
    # wsidata, too, goes by the whole part.
    return lay_grid(folder, slide, coords, px, side, int(step * downsample), asked)
