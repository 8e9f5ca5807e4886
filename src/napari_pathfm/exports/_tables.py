"""Measurement tables of tiles and objects, as CSV and Parquet."""

from __future__ import annotations

import csv
import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._features import object_id
from napari_pathfm.exports._files import PathLike, whole_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_pathfm.exports._objects import QuPathObject
    from napari_pathfm.heatmaps import Heatmap

    Table = dict[str, Any]

SUFFIXES = (".csv", ".parquet")

#: Shares of the values that lie below, as a table states them of a heatmap.
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def object_table(
    objects: Sequence[QuPathObject],
    heatmaps: Sequence[Heatmap] = (),
    *,
    mpp: float | None = None,
) -> Table:
    """Measure objects: one row each.

    Parameters
    ----------
    objects : sequence of QuPathObject
    heatmaps : sequence of Heatmap
        Over the same slide.
    mpp : float, optional
        Micrometres per level-0 pixel; that of the heatmaps where not given.

    Returns
    -------
    dict of str to list or ndarray
        ``id, type, name, class``; ``x, y`` of the centroid and ``area_px2`` in level-0
        pixels; ``area_um2``, NaN where `mpp` is not known; every measurement of theirs;
        and of each heatmap ``<name> mean``, ``<name> q05`` and so on for `QUANTILES`,
        over the cells whose centres lie in the object, or, where there are none, of the
        cell under a point of it. NaN where the heatmap has no value. Of two heatmaps
        and more also ``nearest class``, the name of the one whose mean is highest, and
        ``top similarity``, that mean; "" and NaN where none has a value.
    """
    import shapely

    shapes = np.array([found.geometry for found in objects], dtype=object)
    centroids = shapely.get_coordinates(shapely.centroid(shapes))
    area = shapely.area(shapes)
    if mpp is None and heatmaps:
        mpp = heatmaps[0].mpp
    table: Table = {
        "id": [found.id or "" for found in objects],
        "type": [found.object_type for found in objects],
        "name": [found.name or "" for found in objects],
        "class": [found.classification or "" for found in objects],
        "x": centroids[:, 0],
        "y": centroids[:, 1],
        "area_px2": area,
        "area_um2": area * (math.nan if mpp is None else mpp**2),
    }
    for name in dict.fromkeys(name for found in objects for name in found.measurements):
        table[_free(table, name)] = np.array(
            [found.measurements.get(name, math.nan) for found in objects]
        )
    means: list[npt.NDArray[Any]] = []
    for heatmap in heatmaps:
        values = np.array([_summary(heatmap, shape) for shape in shapes])
        names = ("mean", *(f"q{round(100 * share):02d}" for share in QUANTILES))
        for index, name in enumerate(names):
            table[_free(table, f"{heatmap.name} {name}")] = values[:, index]
        means.append(values[:, 0])
    _add_nearest(table, heatmaps, means)
    return table


def tile_table(
    coords: npt.ArrayLike,
    tile_size: float,
    measurements: Mapping[str, npt.ArrayLike] | None = None,
    heatmaps: Sequence[Heatmap] = (),
    *,
    mpp: float,
    id_namespace: str = "",
) -> Table:
    """Measure square tiles: one row each.

    Parameters
    ----------
    coords, tile_size, measurements, id_namespace
        As for `tile_features`; the ids are the same.
    heatmaps : sequence of Heatmap
        Over the same slide; a tile has the value at its centre.
    mpp : float
        Micrometres per level-0 pixel.

    Returns
    -------
    dict of str to list or ndarray
        ``id``; ``x, y`` of the top-left corner and ``size`` in level-0 pixels;
        ``area_um2``; the measurements; a column for each heatmap, by its name; and of
        two and more ``nearest class`` and ``top similarity``, as for `object_table`.
    """
    corners = np.asarray(coords)
    size = float(tile_size)
    table: Table = {
        "id": [
            object_id(id_namespace, float(x), float(y), size)
            for x, y in corners.tolist()
        ],
        "x": corners[:, 0],
        "y": corners[:, 1],
        "size": np.full(len(corners), size),
        "area_um2": np.full(len(corners), (size * mpp) ** 2),
    }
    for name, values in (measurements or {}).items():
        table[_free(table, name)] = np.asarray(values)
    values = [_values_at(heatmap, corners + size / 2) for heatmap in heatmaps]
    for heatmap, column in zip(heatmaps, values, strict=True):
        table[_free(table, heatmap.name)] = column
    _add_nearest(table, heatmaps, values)
    return table


def write_table(path: PathLike, table: Mapping[str, Any]) -> int:
    """Write a table, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ``.csv`` (UTF-8, numbers as Python writes them) or ``.parquet`` (needs
        pyarrow).
    table : mapping of str to sequences of one length
        Columns in order.

    Returns
    -------
    int
        How many rows were written.

    Raises
    ------
    OutputError
        There are no rows, pyarrow is not installed, or the file cannot be written.
    """
    count = len(next(iter(table.values()), ()))
    with whole_file(path, *SUFFIXES) as neighbour:
        if not count:
            raise OutputError(f"Nothing to export: {path} would hold no rows.")
        if str(path).lower().endswith(".csv"):
            plain = [
                values.tolist() if isinstance(values, np.ndarray) else values
                for values in table.values()
            ]
            with open(neighbour, "w", encoding="utf-8", newline="") as file:
                writer = csv.writer(file)
                writer.writerow(table)
                writer.writerows(zip(*plain, strict=True))
        else:
            try:
                import pyarrow as arrow
                from pyarrow import parquet
            except ImportError as error:
                raise OutputError(
                    f"{path} needs pyarrow: pip install 'napari-pathfm[tables]', or "
                    "name a .csv file."
                ) from error
            parquet.write_table(arrow.table(dict(table)), neighbour)
    return count


def _add_nearest(
    table: Table, heatmaps: Sequence[Heatmap], values: Sequence[npt.NDArray[Any]]
) -> None:
    """Say which of several heatmaps, of classes or of places, is highest."""
    if len(heatmaps) < 2:
        return
    low = np.stack([np.where(np.isnan(column), -np.inf, column) for column in values])
    known = ~np.isnan(np.stack(values)).all(axis=0)
    names = [heatmap.name for heatmap in heatmaps]
    table[_free(table, "nearest class")] = [
        names[best] if here else ""
        for best, here in zip(low.argmax(axis=0).tolist(), known.tolist(), strict=True)
    ]
    table[_free(table, "top similarity")] = np.where(known, low.max(axis=0), np.nan)


def _free(table: Table, name: str) -> str:
    """Return a name that no column has yet."""
    free, number = str(name), 2
    while free in table:
        free, number = f"{name} ({number})", number + 1
    return free


def _values_at(
    heatmap: Heatmap, places: npt.NDArray[np.float64]
) -> npt.NDArray[np.float32]:
    """Return the value at level-0 places ``(N, 2)``, NaN outside the map."""
    cells = np.floor((places - heatmap.origin) / heatmap.stride).astype(np.int64)
    rows, columns = heatmap.values.shape
    inside = ((cells >= 0) & (cells < (columns, rows))).all(axis=1)
    found = np.full(len(places), np.nan, np.float32)
    found[inside] = heatmap.values[cells[inside, 1], cells[inside, 0]]
    return found


def _summary(heatmap: Heatmap, shape: Any) -> npt.NDArray[np.float64]:
    """Return mean and quantiles of a heatmap within a geometry."""
    import shapely

    left, top, right, bottom = (
        np.array(shape.bounds) - np.tile(heatmap.origin, 2)
    ) / heatmap.stride - 0.5
    # Cells whose centres lie in the bounding box.
    height, width = heatmap.values.shape
    rows = np.arange(max(0, math.ceil(top)), min(height, math.floor(bottom) + 1))
    columns = np.arange(max(0, math.ceil(left)), min(width, math.floor(right) + 1))
    values = np.zeros(0)
    if len(rows) and len(columns) and shape.area:
        x = heatmap.origin[0] + (columns + 0.5) * heatmap.stride
        y = heatmap.origin[1] + (rows + 0.5) * heatmap.stride
        shapely.prepare(shape)
        inside = shapely.contains_xy(shape, x[None], y[:, None])
        part = heatmap.values[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        values = part[inside].astype(np.float64)
    if not values.size:
        place = shapely.get_coordinates(shape.representative_point())
        values = _values_at(heatmap, place).astype(np.float64)
    values = values[~np.isnan(values)]
    if not values.size:
        return np.full(1 + len(QUANTILES), np.nan)
    quantiles = np.quantile(values, QUANTILES)
    return cast("npt.NDArray[np.float64]", np.array([values.mean(), *quantiles]))
