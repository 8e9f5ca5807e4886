"""Which tiles a person means: by a click, or by an outline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from napari_pathfm.errors import OutsideSlideError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.slides import TileGrid

    # A point ``(x, y)``, an outline of at least three, or any shapely geometry, in
    # level-0 pixels.
    Place: TypeAlias = (
        tuple[float, float] | Sequence[tuple[float, float]] | BaseGeometry
    )


def rows_at(grid: TileGrid, place: Place) -> NDArray[np.int64]:
    """Find the tiles at a place.

    Parameters
    ----------
    grid : TileGrid
        Of the slide.
    place : (x, y), outline or shapely geometry
        Level-0 pixels. A point means the tile that holds it; an outline the tiles
        whose centres lie in it, or where it is smaller than they are, the one at its
        own centre.

    Returns
    -------
    int64 array, (n,)
        Rows of the grid; empty where there is no tissue tile.
    """
    geometry = as_geometry(place)
    if geometry.geom_type == "Point":
        row = grid.index_at(geometry.x, geometry.y)
        return np.array([] if row is None else [row], np.int64)
    if geometry.geom_type == "MultiPoint":
        found = [rows_at(grid, point) for point in geometry.geoms]
        return np.unique(np.concatenate(found)).astype(np.int64)
    import shapely

    centres = grid.coords + grid.tile_size / 2
    left, top, right, bottom = geometry.bounds
    near = np.flatnonzero(
        ((centres >= (left, top)) & (centres <= (right, bottom))).all(axis=1)
    )
    shapely.prepare(geometry)
    rows: NDArray[np.int64] = near[shapely.intersects_xy(geometry, *centres[near].T)]
    if not len(rows):
        middle = geometry.representative_point()
        return rows_at(grid, (middle.x, middle.y))
    return rows


def embedded_rows(
    grid: TileGrid, done: NDArray[np.bool_], place: Place
) -> NDArray[np.int64]:
    """Find the tiles at a place, or say why there is nothing to compare with.

    Raises
    ------
    OutsideSlideError
        There is no tissue tile.
    StoreError
        None of its tiles is embedded yet.
    """
    rows = rows_at(grid, place)
    if not len(rows):
        raise OutsideSlideError(
            f"there is no tissue tile at {named(place)}: "
            "choose a place on tissue, in level-0 pixels"
        )
    ready = rows[done[rows]]
    if not len(ready):
        raise StoreError(
            f"the tile at {named(place)} is not embedded yet: "
            "let `napari-pathfm embed` finish"
        )
    return ready


def as_geometry(place: Place) -> BaseGeometry:
    """Give a place as shapely knows it.

    Raises
    ------
    OutsideSlideError
        It is neither a point nor an outline with an area.
    """
    import shapely
    from shapely.geometry.base import BaseGeometry

    if isinstance(place, BaseGeometry):
        geometry = place
    else:
        points = np.asarray(place, np.float64)
        if points.shape == (2,):
            geometry = shapely.Point(points)
        elif points.ndim == 2 and points.shape[1] == 2 and len(points) >= 3:
            geometry = shapely.Polygon(points)
        else:
            raise OutsideSlideError(
                f"{place!r} is no place: give (x, y), or an outline of three or more"
            )
    if not geometry.is_valid:
        geometry = shapely.make_valid(geometry)
    if geometry.is_empty or not np.isfinite(geometry.bounds).all():
        raise OutsideSlideError(f"{named(place)} is no place: it has no coordinates")
    return geometry


def plain(place: Place) -> Any:
    """Give a place for provenance: ``[x, y]``, or a GeoJSON geometry."""
    from shapely.geometry import mapping

    geometry = as_geometry(place)
    if geometry.geom_type == "Point":
        return [float(geometry.x), float(geometry.y)]
    return dict(mapping(geometry))


def named(place: Place) -> str:
    """Name a place in a message."""
    from shapely.geometry.base import BaseGeometry

    if isinstance(place, BaseGeometry):
        if place.geom_type != "Point":
            return f"the {place.geom_type.lower()} within {place.bounds}"
        place = (place.x, place.y)
    points = np.asarray(place, np.float64)
    if points.shape == (2,):
        return f"({points[0]:g}, {points[1]:g})"
    return f"the outline from ({points[0][0]:g}, {points[0][1]:g})"
