"""Several maps of one grid in one file: measurements, and the class of each tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._features import class_entry, class_names
from napari_pathfm.exports._geojson import SUFFIXES, write_geojson
from napari_pathfm.exports._pixels import PIXEL_SUFFIXES, write_pixels
from napari_pathfm.exports._placed_pixels import heatmap_pixels
from napari_pathfm.exports._tiles import tile_features
from napari_pathfm.heatmaps import Heatmap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from napari_pathfm.exports._features import Feature
    from napari_pathfm.exports._files import PathLike
    from napari_pathfm.heatmaps import CategoryMap


def export_maps(
    path: PathLike, heatmaps: Sequence[Heatmap], category: CategoryMap | None = None
) -> int:
    """Write maps of one grid together.

    Parameters
    ----------
    path : path-like
        ``.geojson[.gz]``: QuPath tiles with one measurement per heatmap, classified by
        `category`. ``.ome.tif`` or ``.ome.zarr``: one channel per heatmap, and one of
        class numbers from 1, whose names stand in its provenance.
    heatmaps : sequence of Heatmap
        May be empty where there is a category.
    category : CategoryMap, optional

    Returns
    -------
    int
        How many tiles have a value.

    Raises
    ------
    OutputError
        There is nothing to write, the maps lie on different grids, the name has no
        known suffix, or the file cannot be written.
    """
    maps = [*heatmaps] + ([_numbers(category)] if category is not None else [])
    # Checks that they lie on one grid, and that there is a value at all.
    placed = heatmap_pixels(maps)
    name = str(path).lower()
    if name.endswith(PIXEL_SUFFIXES):
        write_pixels(path, placed)
        return int((~np.isnan(placed.pixels)).any(axis=0).sum())
    if not name.endswith(SUFFIXES):
        raise OutputError(
            f"{path} has no known suffix: use {', '.join(SUFFIXES + PIXEL_SUFFIXES)}"
        )
    first = maps[0]
    return write_geojson(path, _tiles(heatmaps, category), provenance=first.provenance)


def _tiles(
    heatmaps: Sequence[Heatmap], category: CategoryMap | None
) -> Iterator[Feature]:
    grid = category if category is not None else heatmaps[0]
    known = np.zeros(grid.values.shape, bool)
    if category is not None:
        known |= category.values > 0
    for heatmap in heatmaps:
        known |= ~np.isnan(heatmap.values)
    rows, columns = np.nonzero(known)
    corners = np.stack([columns, rows], axis=1) * float(grid.stride)
    tiles = tile_features(
        corners + np.asarray(grid.origin, np.float64),
        float(grid.stride),
        {one.name: one.values[rows, columns] for one in heatmaps},
        id_namespace=f"{grid.provenance.get('slide_fingerprint', '')}/{grid.name}",
    )
    if category is None:
        yield from tiles
        return
    numbers = category.values[rows, columns]
    for tile, number in zip(tiles, numbers, strict=True):
        if number:
            one = category.classes[number - 1]
            names = class_names(one.name)
            tile["properties"]["classification"] = class_entry(names, one.color)
        yield tile


def _numbers(category: CategoryMap) -> Heatmap:
    """Give a category map as a channel: class numbers, NaN where there is none."""
    values = category.values.astype(np.float32)
    values[category.values == 0] = np.nan
    named = {str(n): one.name for n, one in enumerate(category.classes, 1)}
    return Heatmap(
        values,
        category.origin,
        category.stride,
        category.mpp,
        category.name,
        (0.0, float(len(category.classes))),
        category.provenance | {"class_numbers": named},
    )
