"""What of a layer is on the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    #: ``(top, left, bottom, right)`` in the pixels of the layer's level 0.
    View = tuple[float, float, float, float]


def in_view(viewer: ViewerModel, layer: Layer) -> View | None:
    """Give the part of a layer that is in view, which may leave it; None in 3-D."""
    if viewer.dims.ndisplay != 2:
        return None
    camera = viewer.scene.camera
    centre = np.array(camera.center[-2:])
    half = np.array(viewer.canvas.size) / (2 * camera.zoom)
    scale, translate = np.array(layer.scale[-2:]), np.array(layer.translate[-2:])
    top, left = (centre - half - translate) / scale
    bottom, right = (centre + half - translate) / scale
    return float(top), float(left), float(bottom), float(right)
