"""Pixels with their place as napari layers, and layers as such pixels.

No napari here: a layer is ``(data, attributes, type)``.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._layer_images import (
    heatmap_from_layer,
    images_ndim,
    layer_box,
    synthetic_from_layer,
)
from napari_pathfm.exports._layer_place import known_mpp, layer_name, our_metadata
from napari_pathfm.exports._placed_pixels import heatmap_pixels, synthetic_pixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_pathfm.exports._layer_place import LayerTuple
    from napari_pathfm.exports._placed_pixels import PlacedPixels


def pixels_to_layers(
    placed: PlacedPixels,
    *,
    mpp: float | None = None,
    entry: dict[str, Any] | None = None,
) -> list[LayerTuple]:
    """Return napari layers that show pixels at their place on the slide.

    Parameters
    ----------
    placed : PlacedPixels
        From `read_pixels`.
    mpp : float, optional
        Micrometres per level-0 pixel of the slide that is open; that of `placed` where
        not given.
    entry : dict, optional
        Further facts for ``metadata["napari_pathfm"]``: the slide's path.

    Returns
    -------
    list of (data, attributes, "image")
        One layer for each channel of a heatmap, of the kind ``"map"``: like the kind
        ``"heatmap"``, but no map that the panel makes and takes away. One layer of the
        kind ``"synthetic"`` for synthetic tissue.
    """
    from napari_pathfm.slides import grid_transform

    size = mpp or placed.mpp
    common = {"fingerprint": placed.fingerprint, **(entry or {}), "mpp": size}
    if placed.kind == "heatmap":
        layers: list[tuple[Any, dict[str, Any], str]] = []
        for heatmap in placed.heatmaps():
            values, keywords, _ = replace(heatmap, mpp=size).to_layer()
            keywords["metadata"]["napari_pathfm"] |= {**common, "kind": "map"}
            keywords["colormap"] = "viridis"
            layers.append((values, keywords, "image"))
        # The first lies on top, seen; the others wait under it.
        for _, hidden, _ in layers[1:]:
            hidden["visible"] = False
        return list(layers[::-1])
    scale, translate = grid_transform(placed.origin, placed.stride, size)
    ours = {"version": 1, "kind": "synthetic", "provenance": list(placed.provenance)}
    attributes = {
        "name": placed.name,
        "rgb": True,
        "scale": scale,
        "translate": translate,
        "units": ("um", "um"),
        "metadata": {"napari_pathfm": ours | common},
    }
    return [(placed.pixels, attributes, "image")]


def layer_pixels(layers: Sequence[LayerTuple]) -> list[PlacedPixels]:
    """Return what image layers show as pixels with their place.

    Parameters
    ----------
    layers : sequence of (data, attributes, "image")
        Heatmaps of one grid, which become the channels of one picture; or one layer of
        synthetic images, which become one each.

    Raises
    ------
    OutputError
        They are neither, or not on one grid.
    MissingMppError
        No pixel size is known.
    """
    kinds = {our_metadata(attributes).get("kind") for _, attributes, _ in layers}
    if kinds <= {"heatmap", "fine", "map"}:
        return [heatmap_pixels([heatmap_from_layer(layer) for layer in layers])]
    if kinds != {"synthetic"} or len(layers) != 1:
        names = ", ".join(repr(layer_name(attributes)) for _, attributes, _ in layers)
        raise OutputError(
            f"{names}: select heatmaps of one grid, or one layer of synthetic tissue."
        )
    return _synthetic(layers[0][0], layers[0][1])


def _synthetic(data: Any, attributes: Mapping[str, Any]) -> list[PlacedPixels]:
    images = synthetic_from_layer((data, attributes, "image"))
    # Where the layer lies now counts: a person may have corrected the pixel size.
    box = layer_box(images[0].pixels.shape, attributes, None, images_ndim(data))
    mpp = known_mpp(attributes)
    name = layer_name(attributes)
    return [
        synthetic_pixels(image.with_provenance(box=box), mpp=mpp, name=name)
        for image in images
    ]
