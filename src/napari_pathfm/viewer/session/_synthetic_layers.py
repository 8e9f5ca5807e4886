"""Synthetic tissue on the canvas: at its place, outlined, and named for what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.slides import grid_transform
from napari_pathfm.viewer._metadata import KEY, entry, entry_for, layers_of
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers

if TYPE_CHECKING:
    import numpy as np
    from napari.components import ViewerModel
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_pathfm.synthesis import PlacedImages
    from napari_pathfm.viewer.session._slide_state import SlideState

# Okabe and Ito's yellow: neither stain nor the heatmap's colours nor a prompt.
_OUTLINE = "#F0E442"


def show_synthetic(
    viewer: ViewerModel, state: SlideState, variation: PlacedImages
) -> Image:
    """Add the variants as one layer with napari's own slider; `mark_synthetic` it."""
    from napari.layers import Image

    data, keywords, _ = variation.to_layer()
    keywords["metadata"][KEY] |= {
        "path": str(state.slide.path),
        "fingerprint": state.fingerprint,
        "mpp": state.mpp,
    }
    layer = Image(data, **keywords)
    add_layer(viewer, layer)
    # The slider stands at the middle after a third axis appears: show the first seed.
    viewer.dims.set_current_step(0, 0)
    return layer


def mark_synthetic(layer: Image) -> None:
    """Outline a layer and have the canvas name it, so that screenshots say so too."""
    layer.bounding_box.line_color = _OUTLINE
    layer.bounding_box.line_thickness = 2
    layer.bounding_box.points = False
    layer.bounding_box.visible = True
    layer.name_overlay.visible = True


def show_preview(
    viewer: ViewerModel,
    state: SlideState,
    place: tuple[float, float],
    side: float,
    pixels: NDArray[np.uint8],
) -> Image:
    """Show tissue forming at its place, in one layer that goes when it is done.

    Parameters
    ----------
    viewer : ViewerModel
        Where to show it.
    state : SlideState
        The slide that it lies on.
    place : (float, float)
        Level-0 ``(x, y)`` of its centre.
    side : float
        Its side in level-0 pixels.
    pixels : ndarray
        uint8 ``(h, w, 3)``.
    """
    from napari.layers import Image

    found = layers_of(viewer.layers, "preview", state.fingerprint)
    if found:
        found[0].data = pixels
        return found[0]
    x, y = place
    stride = side / pixels.shape[1]
    origin = (x - side / 2, y - side / 2)
    scale, translate = grid_transform(origin, stride, state.mpp or 1.0)
    layer = Image(
        pixels,
        rgb=True,
        name="Synthetic · forming…",
        scale=scale,
        translate=translate,
        units=state.layer.units[-2:],
        metadata=entry_for("preview", entry(state.layer) or {}, synthetic=True),
    )
    mark_synthetic(layer)
    add_layer(viewer, layer)
    return layer


def remove_preview(viewer: ViewerModel, state: SlideState) -> None:
    """Take the forming tissue away."""
    remove_layers(viewer, "preview", state.fingerprint)
