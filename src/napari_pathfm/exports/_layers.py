"""napari layers, as the tuples that writers get, to QuPath features.

No napari here: a layer is ``(data, attributes, type)``. Everything about where it lies
comes from its own attributes (`layer_place`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports._dialects import parse_feature
from napari_pathfm.exports._geojson import write_geojson, write_objects
from napari_pathfm.exports._layer_images import image_features
from napari_pathfm.exports._layer_objects import layer_objects, layer_store
from napari_pathfm.exports._layer_place import (
    LayerTuple,
    in_pixels,
    known_mpp,
    layer_name,
    layer_place,
    our_metadata,
)
from napari_pathfm.exports._layer_shapes import shape_geometry
from napari_pathfm.exports._layer_table import LayerTable
from napari_pathfm.exports._objects import QuPathObjects
from napari_pathfm.exports._stable_ids import StableIds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._features import Feature
    from napari_pathfm.exports._files import PathLike

_LARGEST_LABELS = 2**28


def export_layers_geojson(
    layers: Iterable[LayerTuple], path: PathLike, *, mpp: float | None = None
) -> int:
    """Write shapes, points, labels, heatmaps and synthetic images for QuPath.

    Parameters
    ----------
    layers : iterable of (data, attributes, type)
        From napari's writers. Images that are neither heatmaps nor synthetic (the
        slide itself) are passed over.
    path : path-like
        As for `write_geojson`.
    mpp : float, optional
        Micrometres per level-0 pixel. Where not given, a layer that does not know it
        has that of the others, as long as they agree.

    Returns
    -------
    int
        How many objects were written.

    Raises
    ------
    OutputError
        No layer holds an object, or the file cannot be written; nothing is left.
    MissingMppError
        A layer is in micrometres and no pixel size is known.
    PathfmError
        Some layers are in pixels and others in micrometres: napari shows both in one
        world, so one of the two lies where nobody drew it.
    """
    layers = list(layers)
    pixels = [item for item in layers if in_pixels(item[1])]
    if pixels and len(pixels) < len(layers):
        raise PathfmError(
            f"The layer {layer_name(pixels[0][1])!r} is in pixels while others are in "
            "micrometres; set its units to those of the slide, or save it alone."
        )
    if mpp is None:
        # Shapes that a person draws know no slide, but the slide is often among them.
        sizes = {known_mpp(attributes) for _, attributes, _ in layers} - {None}
        mpp = sizes.pop() if len(sizes) == 1 else None
    layers = [layer for layer in layers if not _is_background(layer)]
    ids = StableIds()
    if any(layer_store(attributes) for _, attributes, _ in layers):
        return write_objects(path, _together(layers, mpp, ids))
    return write_geojson(
        path,
        (
            feature
            for layer in layers
            for feature in layer_features(layer, mpp=mpp, ids=ids)
        ),
    )


def _together(
    layers: Iterable[LayerTuple], mpp: float | None, ids: StableIds
) -> QuPathObjects:
    """Join the objects of several layers: one tree, and each id once."""
    objects = QuPathObjects()
    parents: dict[str, str] = {}
    for layer in layers:
        store = layer_store(layer[1])
        if store is None:
            for feature in layer_features(layer, mpp=mpp, ids=ids):
                properties = feature.pop("properties")
                objects.append(parse_feature(feature, properties, None))
            continue
        objects += layer_objects(layer, mpp=mpp)
        objects.members = store.members | objects.members
        parents |= store.parents
    places: dict[str, int] = {}
    for index, found in enumerate(objects):
        id = found.id
        while id is None or places.setdefault(id, index) != index:
            id = ids.drawn(found.geometry)
        if id != found.id:
            objects[index] = replace(found, id=id)
    for id, parent in parents.items():
        # A child whose parent was deleted stands alone.
        if id in places and parent in places:
            child = objects[places[id]]
            objects[places[id]] = replace(child, parent=places[parent])
    return objects


def layer_features(
    layer: LayerTuple, *, mpp: float | None = None, ids: StableIds | None = None
) -> Iterator[Feature]:
    """Yield the objects of one layer as QuPath features.

    Parameters
    ----------
    layer : (data, attributes, type)
        ``shapes``: polygon, rectangle, ellipse (128 points, and marked as an ellipse
        where it stays one with upright axes), path, line. ``points``: one Point each.
        ``labels``: one annotation per label, along the pixels' borders, of the class
        that the layer's metadata has at that number. ``image``: a
        heatmap's cells as tiles; a synthetic image's region.
        Classes come from the features table's column ``class``, ``classification`` or
        ``role`` (``like`` and ``unlike``), names and ids from ``name`` and ``id``.
        Numbers in other columns are measurements, text is metadata.
    mpp : float, optional
        Micrometres per level-0 pixel; goes before the one in the layer's metadata.
    ids : StableIds, optional
        What several layers of one export share, so that no id is given twice.

    Yields
    ------
    dict

    Raises
    ------
    MissingMppError
        The layer is in micrometres and no pixel size is known.
    OutputError
        The layer is of a kind that holds no objects, or an object has no extent.
    PathfmError
        Its units or its transform are not those of a slide.
    """
    data, attributes, kind = layer
    ids = StableIds() if ids is None else ids
    if layer_store(attributes) is not None:
        for found in layer_objects(layer, mpp=mpp):
            id = found.id or ids.drawn(found.geometry)
            yield replace(found, id=id).to_feature()
    elif kind == "shapes":
        yield from _shapes(data, attributes, mpp, ids)
    elif kind == "points":
        yield from _points(data, attributes, mpp, ids)
    elif kind == "labels":
        yield from _labels(data, attributes, mpp, ids)
    elif kind == "image":
        yield from image_features(data, attributes, mpp)
    else:
        raise OutputError(
            f"The layer {layer_name(attributes)!r} ({kind}) holds nothing that QuPath "
            "takes; save shapes, points, labels, heatmaps or synthetic images."
        )


def _is_background(layer: LayerTuple) -> bool:
    _, attributes, kind = layer
    ours = our_metadata(attributes).get("kind")
    return kind == "image" and ours not in ("heatmap", "fine", "map", "synthetic")


def _shapes(
    data: Any, attributes: Mapping[str, Any], mpp: float | None, ids: StableIds
) -> Iterator[Feature]:
    kinds = attributes.get("shape_type", "rectangle")
    if isinstance(data, tuple) and len(data) == 2 and isinstance(data[1], (str, list)):
        # napari also takes the shapes and their types as one pair.
        data, kinds = data
    shapes = [np.asarray(vertices, dtype=np.float64) for vertices in data]
    if isinstance(kinds, str):
        kinds = [kinds] * len(shapes)
    if not shapes:
        return
    place = layer_place(attributes, shapes[0].shape[1], mpp=mpp)
    table = LayerTable(attributes, len(shapes), ids)
    for row, (vertices, kind) in enumerate(zip(shapes, map(str, kinds), strict=True)):
        geometry, ellipse = shape_geometry(vertices, kind, place)
        yield table.feature(row, geometry, ellipse=ellipse)


def _points(
    data: Any, attributes: Mapping[str, Any], mpp: float | None, ids: StableIds
) -> Iterator[Feature]:
    import shapely

    points = np.atleast_2d(np.asarray(data, dtype=np.float64))
    if not points.size:
        return
    place = layer_place(attributes, points.shape[1], mpp=mpp)
    table = LayerTable(attributes, len(points), ids)
    for row, point in enumerate(place.level0(points)):
        yield table.feature(row, shapely.Point(point))


def _labels(
    data: Any, attributes: Mapping[str, Any], mpp: float | None, ids: StableIds
) -> Iterator[Feature]:
    import shapely

    name = layer_name(attributes)
    level = data[0] if attributes.get("multiscale") else data
    if len(level.shape) != 2 or level.shape[0] * level.shape[1] > _LARGEST_LABELS:
        raise OutputError(
            f"The labels {name!r} of the shape {tuple(level.shape)} are not one plane "
            "of moderate size; export a coarser level."
        )
    place = layer_place(attributes, 2, mpp=mpp)
    table = LayerTable(attributes, None, ids)
    for value, region in _regions(np.asarray(level)):
        outline = shapely.transform(region, place.level0)
        yield table.feature(value, outline, name=f"{name} {value}")


def _regions(labels: npt.NDArray[Any]) -> Iterator[tuple[int, BaseGeometry]]:
    """Yield every label with its area as drawn: exact pixel borders, ``(row, col)``."""
    import shapely

    padded = np.pad(labels.astype(np.int64), ((0, 0), (1, 1)))
    # A run begins where a pixel differs from the one before it, and ends likewise.
    changes = np.diff(padded, axis=1) != 0
    rows, starts = np.nonzero(changes)
    values = padded[rows, starts + 1]
    stops = np.append(starts[1:], 0)
    inside = values != 0
    rows, starts, stops, values = (
        column[inside] for column in (rows, starts, stops, values)
    )
    boxes = shapely.box(rows - 0.5, starts - 0.5, rows + 0.5, stops - 0.5)
    for value in np.unique(values).tolist():
        yield int(value), shapely.union_all(boxes[values == value]).simplify(0)
