"""Layers that lie on a slide: added quietly, updated in place, moved together."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_pathfm.viewer._metadata import KEY, entry, entry_for, kind_of, layers_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_pathfm.heatmaps import Heatmap
    from napari_pathfm.viewer._metadata import Kind
    from napari_pathfm.viewer.session._slide_state import SlideState

# Perceptually uniform, legible to the colour-blind, and far from eosin and
# haematoxylin.
HEATMAP_COLORMAP = "viridis"

# From below: what covers everything first, what is pointed at last.
_ORDER = (
    "slide",
    "virtual",
    "tissue",
    "map",
    "heatmap",
    "fine",
    "classes",
    "labels",
    "suggestion",
    "found",
    "prompts",
    "preview",
    "synthetic",
    "difference",
    "mask",
)


@contextmanager
def keeping_selection(viewer: ViewerModel) -> Iterator[None]:
    """Leave the selection alone, though napari selects every layer it is given."""
    chosen = set(viewer.layers.selection)
    yield
    viewer.layers.selection = chosen & set(viewer.layers)


def add_layer(viewer: ViewerModel, layer: Layer) -> Layer:
    """Add a layer at its height among ours, leaving the selection alone."""
    height = _ORDER.index(kind_of(layer) or "synthetic")
    index = len(viewer.layers)
    while index > 0:
        below = kind_of(viewer.layers[index - 1])
        if below not in _ORDER or _ORDER.index(below) <= height:
            break
        index -= 1
    with keeping_selection(viewer):
        viewer.layers.insert(index, layer)
    return layer


def show_heatmap(
    viewer: ViewerModel,
    state: SlideState,
    heatmap: Heatmap,
    kind: Literal["heatmap", "fine"] = "heatmap",
) -> Image:
    """Draw a heatmap into the slide's one layer of a kind, adding it if there is none.

    Colours, opacity and visibility that a person has chosen stay; the contrast limits
    follow the values until somebody sets them by hand.
    """
    from napari.layers import Image

    data, keywords, _ = heatmap.to_layer()
    low, high = (float(value) for value in keywords["contrast_limits"])
    limits = (low, high)
    keywords["metadata"][KEY] |= {
        "kind": kind,
        "path": str(state.slide.path),
        "fingerprint": state.fingerprint,
        "mpp": state.mpp,
        "limits": list(limits),
    }
    found = layers_of(viewer.layers, kind, state.fingerprint)
    if not found:
        keywords["name"] = heatmap.name.capitalize()
        keywords.setdefault("colormap", HEATMAP_COLORMAP)
        layer = Image(data, **keywords)
        layer.contrast_limits_range = _range(limits)
        add_layer(viewer, layer)
        return layer
    layer = found[0]
    own = entry(layer) or {}
    by_hand = not np.allclose(layer.contrast_limits, own.get("limits", limits))
    layer.data = data
    layer.scale, layer.translate = keywords["scale"], keywords["translate"]
    if not by_hand:
        layer.contrast_limits_range = _range(limits)
        layer.contrast_limits = limits
    layer.metadata[KEY] = keywords["metadata"][KEY]
    return layer


def outline_tile(
    viewer: ViewerModel,
    state: SlideState,
    kind: Kind,
    name: str,
    centre: tuple[float, float],
    side: float,
) -> None:
    """Draw a square around a tile, in a layer of that kind that moves between tiles.

    Parameters
    ----------
    viewer : ViewerModel
    state : SlideState
        Whose tile.
    kind, name : str
        Of the layer.
    centre : (x, y)
        Level-0.
    side : float
        In level-0 pixels.
    """
    from napari.layers import Points

    # Pixel centres, as the slide's layer has them, under the same scale.
    data = np.array([(centre[1] - 0.5, centre[0] - 0.5)])
    found = layers_of(viewer.layers, kind, state.fingerprint)
    if found:
        found[0].data = data
        found[0].size = side
        return
    layer = Points(
        data,
        name=name,
        scale=state.layer.scale[-2:],
        units=state.layer.units[-2:],
        symbol="square",
        size=side,
        face_color="transparent",
        border_color="yellow",
        border_width=0.03,
        metadata=entry_for(kind, entry(state.layer) or {}),
    )
    layer.editable = False
    add_layer(viewer, layer)


def remove_layers(viewer: ViewerModel, kind: Any, fingerprint: str | None) -> None:
    """Take our layers of a kind off a slide, or off all."""
    with keeping_selection(viewer):
        for layer in layers_of(viewer.layers, kind, fingerprint):
            viewer.layers.remove(layer)


def rescale_layers(viewer: ViewerModel, state: SlideState, grown: float) -> None:
    """Keep what lies on a slide at its place in pixels when the pixel size changes."""
    for layer in viewer.layers:
        own = entry(layer)
        if own is None or own["kind"] == "slide" or layer is state.layer:
            continue
        if own.get("fingerprint") != state.fingerprint:
            continue
        factor = np.ones(layer.ndim)
        factor[-2:] = grown
        layer.scale = np.asarray(layer.scale) * factor
        layer.translate = np.asarray(layer.translate) * factor
        own["mpp"] = state.mpp


def _range(limits: tuple[float, float]) -> tuple[float, float]:
    """Leave room on napari's contrast slider around the limits."""
    low, high = limits
    margin = (high - low) / 2
    return low - margin, high + margin
