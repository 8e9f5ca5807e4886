"""Geometries as QuPath takes them: one orientation, no lone multi-parts, no knots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

#: Digits kept behind the point. QuPath itself writes two; four keep every round trip
#: below a thousandth of a pixel and a coordinate below twelve characters.
DECIMALS = 4

WRITABLE = (
    "Point",
    "MultiPoint",
    "LineString",
    "MultiLineString",
    "Polygon",
    "MultiPolygon",
)


def qupath_geometry(geometry: BaseGeometry) -> BaseGeometry:
    """Return `geometry` in the form that QuPath's reader takes without complaint.

    Parameters
    ----------
    geometry : shapely geometry
        In level-0 pixels ``(x, y)``, origin at the corner of the first pixel.

    Returns
    -------
    shapely geometry
        Two-dimensional, rounded to `DECIMALS`; polygons valid (a lasso that crosses
        itself becomes its parts, the doubly covered included), exterior rings
        counter-clockwise as RFC 7946 asks, holes clockwise; a multi-geometry of one
        part is that part (TissUUmaps issue 49: QuPath does not take it otherwise).

    Raises
    ------
    OutputError
        The geometry is empty, not finite, of no extent, or of a kind that QuPath has
        no region for.
    """
    import shapely

    if geometry.is_empty:
        raise OutputError("Nothing to export: an object has no coordinates.")
    if geometry.geom_type == "LinearRing":
        geometry = shapely.LineString(geometry.coords)
    if geometry.geom_type not in WRITABLE:
        raise OutputError(
            f"A {geometry.geom_type} cannot be exported to QuPath; "
            "export its parts one by one."
        )
    geometry = shapely.force_2d(geometry)
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise OutputError(
            "An object has coordinates that are not finite; remove it and export again."
        )
    # Rounding first: it can itself make a ring touch itself.
    geometry = shapely.transform(geometry, lambda xy: np.round(xy, DECIMALS))
    if not geometry.is_valid:
        geometry = shapely.make_valid(
            geometry, method="structure", keep_collapsed=False
        )
        # Where edges cross there are new points; this rounds them and keeps it valid.
        geometry = shapely.set_precision(geometry, 10.0**-DECIMALS)
        geometry = shapely.transform(geometry, lambda xy: np.round(xy, DECIMALS))
    if geometry.is_empty or geometry.geom_type == "GeometryCollection":
        raise OutputError(
            "An object has no extent (its points coincide or lie on one line); "
            "remove it and export again."
        )
    geometry = shapely.orient_polygons(geometry)
    parts = shapely.get_parts(geometry)
    return cast("BaseGeometry", parts[0] if len(parts) == 1 else geometry)


def geometry_json(geometry: BaseGeometry) -> dict[str, Any]:
    """Return the GeoJSON object of a geometry that `qupath_geometry` has passed."""
    import shapely.geometry

    return dict(shapely.geometry.mapping(geometry))


def rectangle_json(x: float, y: float, width: float, height: float) -> dict[str, Any]:
    """Return the GeoJSON object of a rectangle, without the cost of a geometry.

    The same ring that `qupath_geometry` gives to ``shapely.box``: a million tiles
    spend their time elsewhere.
    """
    left, top = _number(x), _number(y)
    right, bottom = _number(x + width), _number(y + height)
    ring = [[right, top], [right, bottom], [left, bottom], [left, top], [right, top]]
    return {"type": "Polygon", "coordinates": [ring]}


def _number(value: float) -> float | int:
    """Round as everything else is rounded; whole numbers lose their ``.0``."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def ellipse_ring(
    corners: npt.ArrayLike, *, segments: int = 128
) -> npt.NDArray[np.float64]:
    """Return points on the ellipse inscribed in a parallelogram.

    Parameters
    ----------
    corners : array_like, (4, 2)
        The corners in order.
    segments : int
        Number of points, a multiple of 4, so that the four points where the ellipse
        touches the sides are among them and its bounding box is exact: QuPath builds
        the true ellipse from that box.

    Returns
    -------
    float64 (segments, 2)
    """
    box = np.asarray(corners, dtype=np.float64)
    centre = box.mean(axis=0)
    along, across = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
    angle = np.arange(segments) * (2 * np.pi / segments)
    # Cosines of right angles are 6e-17, not 0; without this the box is not exact.
    cosine, sine = np.round(np.cos(angle), 15), np.round(np.sin(angle), 15)
    return cast(
        "npt.NDArray[np.float64]",
        centre + cosine[:, None] * along + sine[:, None] * across,
    )
