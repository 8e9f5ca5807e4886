"""Shapes of a wsidata folder (tissue, tiles, what LazySlide segments) as objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import StoreError
from napari_pathfm.exports._objects import QuPathObject, QuPathObjects
from napari_pathfm.exports._read_wsidata import in_level0
from napari_pathfm.exports._wsidata import pyarrow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

# Columns that are no measurements: what the geometry says already.
_PLACES = ("geometry", "x", "y")


def is_wsidata(path: str | Path) -> bool:
    """Tell by its description whether a folder is SpatialData's, with shapes."""
    try:
        text = (Path(path) / "zarr.json").read_text(encoding="utf-8")
        attributes = json.loads(text)["attributes"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return "spatialdata_attrs" in attributes and (Path(path) / "shapes").is_dir()


def read_wsidata_shapes(path: str | Path) -> QuPathObjects:
    """Read the shapes of a folder of wsidata's.

    Parameters
    ----------
    path : path
        ``SLIDE.zarr``.

    Returns
    -------
    QuPathObjects
        Each of the class of its element's name (``tissues``, ``tiles``), tiles as
        tiles; numbers beside the geometry are measurements.

    Raises
    ------
    StoreError
        If the folder is damaged, has no shapes, or keeps them elsewhere than in
        level-0 pixels.
    OutputError
        If pyarrow is missing.
    """
    import zarr

    folder = Path(path)
    read = pyarrow()[1].read_table  # says what is missing before all else
    objects = QuPathObjects()
    try:
        root: Any = zarr.open_group(folder, mode="r")
        spec = dict(root.attrs).get("tile_spec", {})
        for name, group in root["shapes"].groups():
            in_level0(folder, name, dict(group.attrs))
            columns = read(folder / "shapes" / name / "shapes.parquet")
            kind = "tile" if name in spec else "annotation"
            objects.extend(_objects(name, kind, columns))
    # A damaged folder leads Zarr, its codecs and pyarrow anywhere.
    except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise StoreError(
            f"{folder} is no folder of wsidata, or it is damaged: {reason}"
        ) from error
    if not objects:
        raise StoreError(f"{folder} holds no shapes: there is nothing to show")
    return objects


def _objects(name: str, kind: str, columns: Any) -> Iterator[QuPathObject]:
    import shapely

    geometries = shapely.from_wkb(columns["geometry"].to_numpy())
    measured = {
        column: numbers
        for column in columns.column_names
        if column not in _PLACES
        and (numbers := _numbers(columns[column].to_numpy())) is not None
    }
    for row, geometry in enumerate(geometries):
        if geometry is None or geometry.is_empty:
            continue
        values = {column: float(numbers[row]) for column, numbers in measured.items()}
        yield QuPathObject(
            geometry, object_type=kind, classification=name, measurements=values
        )


def _numbers(values: NDArray[Any]) -> NDArray[np.float64] | None:
    return values.astype(np.float64) if values.dtype.kind in "biuf" else None
