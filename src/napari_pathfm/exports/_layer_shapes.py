"""One of napari's shapes as a geometry on the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from napari_pathfm.exports._geometry import ellipse_ring

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._layer_place import LayerPlace


def shape_geometry(
    vertices: npt.NDArray[np.float64], kind: str, place: LayerPlace
) -> tuple[BaseGeometry, bool]:
    """Return what one of napari's shapes is on the slide, and whether an ellipse."""
    import shapely

    if kind in ("path", "line"):
        return shapely.LineString(place.level0(vertices)), False
    if kind in ("rectangle", "ellipse") and len(vertices) == 2:
        vertices = _corners(vertices, centred=kind == "ellipse")
    if kind != "ellipse":
        ring = place.level0(vertices)
        if len(ring) < 3:
            return shapely.LineString(ring) if len(
                ring
            ) == 2 else shapely.Point(), False
        return shapely.Polygon(ring), False
    # The inscribed ellipse goes through any affine: its box becomes a parallelogram.
    box = place.level0(vertices)
    sides = np.abs(np.diff(box, axis=0))
    upright = bool(np.all(sides.min(axis=1) <= 1e-6 * sides.max()))
    return shapely.Polygon(ellipse_ring(box)), upright


def _corners(
    pair: npt.NDArray[np.float64], *, centred: bool
) -> npt.NDArray[np.float64]:
    """Return four corners from napari's short forms.

    Two opposite corners of a rectangle; the centre and the radii of an ellipse.
    """
    first, second = (pair[0] - pair[1], pair[0] + pair[1]) if centred else pair
    corners = np.repeat(first[None], 4, axis=0)
    corners[1:3, -1] = second[-1]
    corners[2:4, -2] = second[-2]
    return corners
