"""What a person has drawn on a slide, in level-0 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.viewer.session._slide_state import SlideState

# Corners that stand for an ellipse.
_ROUND = 64


def drawn_mask(layer: Labels | Shapes, state: SlideState) -> BaseGeometry | None:
    """Give what is drawn in a layer as one geometry, level-0 ``(x, y)``.

    Parameters
    ----------
    layer : napari.layers.Labels or napari.layers.Shapes
        Polygons, rectangles and ellipses count, lines do not; all labels but 0 count.
    state : SlideState
        The slide that it lies on.

    Returns
    -------
    shapely geometry or None
        None where nothing is drawn.

    Raises
    ------
    PathfmError
        The layer is no plane.
    """
    import shapely

    if layer.ndim != 2:
        raise PathfmError(
            f"the layer {layer.name!r} has {layer.ndim} axes: a mask has two"
        )
    from napari.layers import Labels

    rings = _label_rings(layer) if isinstance(layer, Labels) else _shape_rings(layer)
    if not len(rings):
        return None
    flat = rings.reshape(-1, 2) if isinstance(rings, np.ndarray) else None
    if flat is not None:
        corners = _level0(layer, state, flat).reshape(len(rings), -1, 2)
        parts = shapely.polygons(corners)
    else:
        parts = [shapely.Polygon(_level0(layer, state, ring)) for ring in rings]
    whole: BaseGeometry = shapely.union_all(shapely.make_valid(parts))
    return whole if whole.area > 0 else None


def _level0(layer: Any, state: SlideState, points: NDArray[Any]) -> NDArray[Any]:
    """Take a layer's ``(row, column)`` to level-0 ``(x, y)``."""
    from napari_pathfm.slides import world_to_level0

    # napari takes one place at a time; three of them tell where all are.
    origin, down, across = (
        np.array(layer.data_to_world(place)) for place in ((0, 0), (1, 0), (0, 1))
    )
    world = origin + points @ np.stack([down - origin, across - origin])
    return np.asarray(world_to_level0(world, state.mpp or 1.0))


def _shape_rings(layer: Shapes) -> list[NDArray[Any]]:
    rings = []
    for corners, kind in zip(layer.data, layer.shape_type, strict=True):
        if kind in ("rectangle", "polygon") and len(corners) > 2:
            rings.append(np.asarray(corners, np.float64))
        elif kind == "ellipse":
            box = np.asarray(corners, np.float64)
            across, down = (box[1] - box[0]) / 2, (box[3] - box[0]) / 2
            angles = np.linspace(0, 2 * np.pi, _ROUND, endpoint=False)[:, None]
            rings.append(box.mean(0) + np.cos(angles) * across + np.sin(angles) * down)
    return rings


def _label_rings(layer: Labels) -> NDArray[np.float64]:
    """One rectangle for each run of labels in a row, ``(N, 4, 2)``."""
    painted = np.asarray(layer.data) > 0
    edges = np.diff(np.pad(painted, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    row, first = np.nonzero(edges == 1)
    _, after = np.nonzero(edges == -1)
    top, bottom, left, right = row - 0.5, row + 0.5, first - 0.5, after - 0.5
    corners = ((top, left), (top, right), (bottom, right), (bottom, left))
    return np.stack([np.stack(corner, -1) for corner in corners], 1)
