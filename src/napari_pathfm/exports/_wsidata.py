"""A store as wsidata and LazySlide keep tiles: a SpatialData folder.

Written with Zarr and pyarrow to the form that wsidata 0.12 over SpatialData 0.7 reads
(https://wsidata.readthedocs.io, https://spatialdata.scverse.org/en/stable/design_doc.html):
``shapes/tiles`` is a GeoParquet file of boxes in level-0 pixels, ``tables/NAME_tiles``
the features as AnnData, and the attribute ``tile_spec`` says how tiles are read. The
libraries themselves are not needed: they hold back Dask, pandas and Zarr.
"""

from __future__ import annotations

import json
import math
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError, StoreError
from napari_pathfm.exports._anndata import own_words
from napari_pathfm.exports._anndata_form import (
    mark,
    put_array,
    put_frame,
    put_mapping,
)
from napari_pathfm.exports._files import PathLike, whole_folder
from napari_pathfm.exports._h5 import OWN
from napari_pathfm.exports._tables import tile_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Heatmap
    from napari_pathfm.slides import TileGrid

SUFFIX = ".zarr"

#: The tiles' name among the shapes, and the ending of their tables' names.
TILES = "tiles"

#: Column of a table with the tiles' numbers, and the one with the name of the tiles.
TILE_ID, LIBRARY = "tile_id", "library_id"

_TABLE = {"region": TILES, "region_key": LIBRARY, "instance_key": TILE_ID}
_AXES = [{"name": name, "type": "space", "unit": "unit"} for name in "xy"]
_IDENTITY: Any = {
    "type": "identity",
    "input": {"name": "xy", "axes": _AXES},
    "output": {"name": "global", "axes": _AXES},
}


def export_store_wsidata(
    store: EmbeddingStore, path: PathLike, heatmaps: Sequence[Heatmap] = ()
) -> int:
    """Write a store's tiles and features as wsidata keeps a slide's.

    Parameters
    ----------
    store : EmbeddingStore
        Complete. Tiles that cannot be read are left out.
    path : path-like
        ``SLIDE.zarr``, which must not exist: what others wrote into such a folder
        would be lost. Beside the slide and with its name, `wsidata.open_wsi` finds it.
    heatmaps : sequence of Heatmap
        Over the same slide; each becomes a column of the tiles.

    Returns
    -------
    int
        Tiles written. The columns of ``shapes/tiles`` are ``tile_id``, ``x, y``
        (corner, level-0 pixels), ``tissue_id`` (-1: which piece of tissue is not
        known), the heatmaps, and ``geometry``. The table ``ENCODER_tiles`` has ``X``
        float32 ``(N, D)`` and every attribute of the store but its folders in
        ``uns["napari_pathfm"]``, as `export_store_anndata` writes them.

    Raises
    ------
    StoreError
        If the store is not complete.
    OutputError
        If the folder exists or cannot be written, or pyarrow is missing.
    """
    import zarr

    done = store.done
    if not store.complete:
        raise StoreError(
            f"{store.path} is unfinished ({int(done.sum())} of {len(done)} tiles): run "
            "`embed` again, then export it"
        )
    if Path(path).exists():
        raise OutputError(
            f"{path} exists, and may hold what others wrote: choose another name"
        )
    grid, attrs = store.grid, store.attrs
    features = store.features[done].astype(np.float32)
    count = len(features)
    ids = np.arange(count)
    columns = _columns(store.coords[done], grid.tile_size, heatmaps, attrs)
    with whole_folder(path, SUFFIX) as neighbour:
        root = zarr.open_group(
            neighbour, mode="w", zarr_format=3, attributes=_attributes(attrs, grid)
        )
        shapes = root.create_group("shapes").create_group(TILES)
        shapes.attrs.update(
            {
                "encoding-type": "ngff:shapes",
                "axes": ["x", "y"],
                "coordinateTransformations": [_IDENTITY],
                "spatialdata_attrs": {"version": "0.3"},
            }
        )
        _write_boxes(neighbour / "shapes" / TILES / "shapes.parquet", columns)
        table = root.create_group("tables").create_group(table_name(attrs["encoder"]))
        mark(table, "anndata", "0.1.0")
        table.attrs.update(
            _TABLE
            | {"spatialdata-encoding-type": "ngff:regions_table", "version": "0.2"}
        )
        put_array(table, "X", features)
        names = [str(number) for number in range(features.shape[1])]
        put_frame(
            table,
            "obs",
            [str(number) for number in range(count)],
            {TILE_ID: ids, LIBRARY: [TILES] * count},
        )
        put_frame(table, "var", names, {})
        kept = {"spatialdata_attrs": _TABLE, OWN: own_words(attrs, features)}
        put_mapping(table, "uns", kept, nested=tuple(kept))
        for empty in ("layers", "obsm", "obsp", "varm", "varp"):
            put_mapping(table, empty, {})
    return count


def table_name(encoder: str) -> str:
    """Name a table of features as LazySlide does; SpatialData takes few characters."""
    return f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', encoder).strip('_.-')}_{TILES}"


def pyarrow() -> tuple[Any, Any]:
    """Import pyarrow and its Parquet, or say how to get them."""
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError as error:
        raise OutputError(
            "wsidata's tiles need pyarrow: pip install 'napari-pathfm[tables]'"
        ) from error


def _attributes(attrs: Mapping[str, Any], grid: TileGrid) -> dict[str, Any]:
    width, height = attrs["slide_dimensions"]
    # wsidata takes the whole part of `px * downsample` for a tile's side.
    downsample = grid.tile_size / grid.px
    while int(grid.px * downsample) < math.floor(grid.tile_size):
        downsample = math.nextafter(downsample, math.inf)
    stride = round((grid.step or grid.stride) / downsample)
    return {
        "spatialdata_attrs": {"version": "0.2"},
        # What wsidata compares with the slide that it opens, and takes over from here.
        "slide_properties": {
            "shape": [height, width],
            "mpp": float(attrs["slide_mpp"]),
        },
        "tile_spec": {
            TILES: {
                "height": grid.px,
                "width": grid.px,
                "stride_height": stride,
                "stride_width": stride,
                "mpp": grid.mpp,
                # A store does not know the slide's levels; level 0 is always there.
                "ops_level": 0,
                "ops_downsample": downsample,
                "base_level": 0,
                "base_downsample": downsample,
                "tissue_name": None,
            }
        },
    }


def _columns(
    coords: NDArray[np.int32],
    size: float,
    heatmaps: Sequence[Heatmap],
    attrs: Mapping[str, Any],
) -> dict[str, Any]:
    import shapely

    measured = tile_table(
        coords, size, heatmaps=heatmaps, mpp=float(attrs["slide_mpp"])
    )
    for name in ("id", "x", "y", "size", "area_um2"):
        del measured[name]
    x, y = coords.astype(np.int64).T
    boxes = shapely.box(x, y, x + size, y + size)
    return {
        TILE_ID: np.arange(len(coords)),
        "x": x,
        "y": y,
        "tissue_id": np.full(len(coords), -1),
        **measured,
        "geometry": shapely.to_wkb(boxes),
    }


def _write_boxes(path: Path, columns: Mapping[str, Any]) -> None:
    """Write GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0/)."""
    arrow, parquet = pyarrow()
    geo = {
        "version": "1.1.0",
        "primary_column": "geometry",
        "columns": {
            "geometry": {"encoding": "WKB", "crs": None, "geometry_types": ["Polygon"]}
        },
    }
    table = arrow.table(dict(columns)).replace_schema_metadata({"geo": json.dumps(geo)})
    parquet.write_table(table, path)
