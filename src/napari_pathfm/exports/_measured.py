"""What the objects of a layer measure, row by row of the layer's own table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._dialects import parse_feature
from napari_pathfm.exports._layer_objects import layer_objects, layer_store
from napari_pathfm.exports._layer_place import known_mpp, layer_name
from napari_pathfm.exports._layers import layer_features
from napari_pathfm.exports._tables import object_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.exports._layer_place import LayerTuple
    from napari_pathfm.heatmaps import Heatmap

# What a layer's table has already, or its canvas shows.
_KNOWN = ("id", "type", "name", "class", "x", "y", "area_px2")


def measured_features(
    layer: LayerTuple, heatmaps: Sequence[Heatmap] = (), *, mpp: float | None = None
) -> dict[str, Any]:
    """Measure the objects of a layer, for its ``features``.

    Parameters
    ----------
    layer : (data, attributes, type)
        Shapes, points or labels, made from QuPath objects or drawn.
    heatmaps : sequence of Heatmap
        Over the same slide.
    mpp : float, optional
        Micrometres per level-0 pixel; goes before the one in the layer's metadata.

    Returns
    -------
    dict of str to list
        One cell for each row of the layer's table: ``area_um2`` and the columns of
        `object_table` for the heatmaps. A row whose object is not known (drawn since)
        has NaN, or "" for text.

    Raises
    ------
    OutputError
        The layer has no table with a row for each object.
    MissingMppError
        The layer is in micrometres and no pixel size is known.
    """
    _, attributes, kind = layer
    features = attributes.get("features")
    rows = 0 if features is None else len(features)
    size = known_mpp(attributes, mpp)
    if layer_store(attributes) is not None:
        objects = layer_objects(layer, mpp=size)
        keys = [str(key) for key in features["id"]] if features is not None else []
        where = {str(found.id): n for n, found in enumerate(objects)}
        places = [where.get(key) for key in keys]
    else:
        made = list(layer_features(layer, mpp=size)) if kind != "labels" else []
        objects = [parse_feature(f, f.pop("properties"), None) for f in made]
        places = list(range(len(objects)))
    if not places or len(places) != rows:
        raise OutputError(
            f"The layer {layer_name(attributes)!r} has no row for each object to put "
            "measurements in: save it as GeoJSON and open that."
        )
    table = object_table(objects, heatmaps, mpp=size)
    own = {name for found in objects for name in found.measurements}
    return {
        name: [_missing(column) if n is None else column[n] for n in places]
        for name, column in table.items()
        if name not in _KNOWN and name not in own
    }


def _missing(column: Any) -> Any:
    return np.nan if isinstance(column, np.ndarray) else ""
