"""What a few-shot classifier says, drawn into one layer of the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.viewer._metadata import KEY, layers_of
from napari_pathfm.viewer.session._slide_layers import (
    HEATMAP_COLORMAP,
    add_layer,
    remove_layers,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_pathfm.heatmaps import ClassMaps
    from napari_pathfm.viewer.session._slide_state import SlideState


def show_result(
    viewer: ViewerModel, state: SlideState, maps: ClassMaps, name: str | None
) -> Layer:
    """Show the likeliest classes, or the probability of the class `name`.

    Visibility and opacity that a person has chosen stay while the kind of map does.
    """
    from napari.layers import Image, Labels
    from napari.utils.colormaps import DirectLabelColormap

    known = {one.name for one in maps.classes}
    category = name is None or name not in known
    made = maps.likeliest() if category else maps.probability(str(name))
    data, keywords, kind = made.to_layer()
    metadata = keywords["metadata"][KEY] | {"kind": "classes"}
    metadata |= {"path": str(state.slide.path), "fingerprint": state.fingerprint}
    metadata |= {"mpp": state.mpp}
    keywords["metadata"] = {KEY: metadata}
    keywords["name"] = made.name[0].upper() + made.name[1:]
    colors: Any = keywords.pop("colormap", None)
    found = layers_of(viewer.layers, "classes", state.fingerprint)
    if found and (
        found[0].name != keywords["name"] or found[0].data.shape != data.shape
    ):
        remove_layers(viewer, "classes", state.fingerprint)
        found = []
    if found:
        layer = found[0]
        layer.data = data
        layer.metadata[KEY] = metadata
        if category:
            layer.colormap = DirectLabelColormap(color_dict=colors)
        return layer
    if kind == "labels":
        layer = Labels(
            data, colormap=DirectLabelColormap(color_dict=colors), **keywords
        )
        layer.editable = False
    else:
        layer = Image(data, colormap=HEATMAP_COLORMAP, **keywords)
        layer.colorbar.visible = True
    add_layer(viewer, layer)
    return layer


def hide_result(viewer: ViewerModel, state: SlideState) -> None:
    """Take the map off the slide."""
    remove_layers(viewer, "classes", state.fingerprint)
