"""QuPath objects as napari layers: one for each class, so that each can be hidden.

No napari here: a layer is ``(data, attributes, type)``, as a reader gives it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.exports._features import RGB, class_color
from napari_pathfm.exports._raster import (
    ALL_PLANES,
    LARGEST_PLANE,
    Raster,
    rasterize,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._layer_place import LayerTuple
    from napari_pathfm.exports._objects import QuPathObject

#: Where a layer keeps the objects that it shows, beside its JSON-serialisable entry.
OBJECTS_KEY = "napari_pathfm_objects"

#: Outlines that napari's shapes still edit fluently; more become labels.
MOST_SHAPES = 5000

#: Classes with a layer of their own; the rest share one.
MOST_LAYERS = 20

#: Columns of the features table with a meaning. All others are measurements.
COLUMNS = ("id", "ring", "class", "name", "type", "locked")


@dataclass(frozen=True)
class LayerObjects:
    """What a layer was made from, for the way back.

    Attributes
    ----------
    objects : tuple of QuPathObject
        Each with an id and without a parent's index.
    parents : dict of str to str
        The id of each child's parent.
    members : dict of str to object
        Of the collection.
    raster : Raster or None
        How a labels layer was painted.
    """

    objects: tuple[QuPathObject, ...]
    parents: dict[str, str] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)
    raster: Raster | None = None


def objects_to_layers(
    objects: Sequence[QuPathObject],
    *,
    mpp: float | None = None,
    name: str = "Objects",
    entry: dict[str, Any] | None = None,
    most_shapes: int = MOST_SHAPES,
) -> list[LayerTuple]:
    """Return napari layers that show objects, to be changed and written back.

    Parameters
    ----------
    objects : sequence of QuPathObject
        From `read_geojson`.
    mpp : float, optional
        Micrometres per level-0 pixel. Without it the layers are in pixels.
    name : str
        What the layers' names begin with; the class follows.
    entry : dict, optional
        Further facts for ``metadata["napari_pathfm"]``: the slide's fingerprint.
    most_shapes : int
        Outlines that become Shapes at most. Where there are more, detections, cells
        and tiles become Labels; annotations too, where they alone are more.

    Returns
    -------
    list of (data, attributes, type)
        Shapes, Points and Labels, one per kind and class; layers further down cover
        those above. ``features`` has the columns `COLUMNS` and one per measurement; a
        polygon has one shape for each outer ring and each hole. `layer_objects` takes
        a layer back to objects, and `export_layers_geojson` to a file.
    """
    import shapely

    objects_ = [
        found if found.id else replace(found, id=str(uuid.uuid4())) for found in objects
    ]
    parents = {
        str(found.id): str(objects_[found.parent].id)
        for found in objects_
        if found.parent is not None
    }
    whole = [
        found if found.parent is None else replace(found, parent=None)
        for found in objects_
    ]
    shapes = np.array([found.geometry for found in whole], dtype=object)
    types = shapely.get_type_id(shapes)
    outlines = ~np.isin(types, (0, 4))  # all but Point and MultiPoint
    movable = np.array([found.object_type == "annotation" for found in whole], bool)
    painted = np.isin(types, (3, 6)) & (outlines.sum() > most_shapes)  # polygons
    if (outlines & movable).sum() <= most_shapes:
        painted &= ~movable
    made: list[LayerTuple] = []
    members = dict(getattr(objects, "members", {}))
    common = {"version": 1, "kind": "objects", "mpp": mpp, **(entry or {})}
    for kind, chosen in (
        ("labels", painted),
        ("shapes", outlines & ~painted),
        ("points", ~outlines),
    ):
        some = [found for found, here in zip(whole, chosen, strict=True) if here]
        groups = list(_by_class(some))
        for title, group in groups:
            mine = {str(f.id): parents[str(f.id)] for f in group if f.id in parents}
            store = LayerObjects(tuple(group), mine, members)
            if kind == "labels":
                plane = min(LARGEST_PLANE, ALL_PLANES // len(groups))
                data, attributes, store = _labels(store, mpp, plane)
            else:
                data, attributes = (_shapes if kind == "shapes" else _points)(
                    store, mpp
                )
            attributes |= {
                "name": f"{name}: {title}",
                "metadata": {"napari_pathfm": dict(common), OBJECTS_KEY: store},
            }
            if mpp is not None:
                attributes["units"] = ("um", "um")
            made.append((data, attributes, kind))
    return made


def rings(geometry: BaseGeometry) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """Yield what a geometry consists of, each with its name, in level-0 ``(x, y)``.

    ``"2.0"`` is the outer ring of the third polygon and ``"2.1"`` its first hole; rings
    are not closed. Points and lines have a number.
    """
    import shapely

    for number, part in enumerate(shapely.get_parts(geometry)):
        if part.geom_type != "Polygon":
            yield str(number), shapely.get_coordinates(part)
            continue
        for index, ring in enumerate((part.exterior, *part.interiors)):
            yield f"{number}.{index}", shapely.get_coordinates(ring)[:-1]


def _by_class(
    objects: Iterable[QuPathObject],
) -> Iterator[tuple[str, list[QuPathObject]]]:
    groups: dict[str, list[QuPathObject]] = {}
    for found in objects:
        groups.setdefault(found.classification or "no class", []).append(found)
    for number, title in enumerate(list(groups)):
        if number < MOST_LAYERS or len(groups) == MOST_LAYERS + 1:
            yield title, groups[title]
    rest = list(groups.values())[MOST_LAYERS:]
    if len(rest) > 1:
        yield "other classes", [found for group in rest for found in group]


def _shapes(store: LayerObjects, mpp: float | None) -> tuple[Any, dict[str, Any]]:
    rows, data, kinds = [], [], []
    for found in store.objects:
        for ring, places in rings(found.geometry):
            rows.append((found, ring))
            data.append(places)
            kinds.append("polygon" if "." in ring else "path")
    attributes = _placed(data, mpp) | _table(rows)
    attributes |= {
        "shape_type": kinds,
        # As in QuPath: outlines only, so that holes are holes.
        "face_color": "transparent",
        "edge_color": _colors([found for found, _ in rows]),
        "edge_width": [_width(found.geometry) for found, _ in rows],
    }
    return data, attributes


def _points(store: LayerObjects, mpp: float | None) -> tuple[Any, dict[str, Any]]:
    rows = [
        ((found, ring), places)
        for found in store.objects
        for ring, places in rings(found.geometry)
    ]
    data = [places for _, places in rows]
    attributes = _placed(data, mpp) | _table([row for row, _ in rows])
    attributes |= {
        "face_color": _colors([found for (found, _), _ in rows]),
        "border_color": "white",
        "size": 20,
        "canvas_size_limits": (6, 30),  # on the screen, however far away
    }
    return np.concatenate(data), attributes


def _labels(
    store: LayerObjects, mpp: float | None, plane: int
) -> tuple[Any, dict[str, Any], LayerObjects]:
    from napari_pathfm.slides import grid_transform

    raster = rasterize([found.geometry for found in store.objects], largest=plane)
    scale, translate = grid_transform(raster.origin, raster.stride, mpp or 1.0)
    attributes = _table([(found, "") for found in store.objects])
    del attributes["feature_defaults"]
    attributes["features"] = {
        "index": np.arange(1, len(store.objects) + 1),
        **attributes["features"],
    }
    # One colour for every label, as a cycle of one: colours by number would have napari
    # compile code for seconds.
    colors = ["transparent", _colors(store.objects[:1])[0]]
    attributes |= {"scale": scale, "translate": translate, "colormap": colors}
    return raster.labels.copy(), attributes, replace(store, raster=raster)


def _placed(data: list[npt.NDArray[np.float64]], mpp: float | None) -> dict[str, Any]:
    """Turn level-0 places into a layer's own, in place, and say where that lies.

    napari keeps shapes as float32, which at 100,000 pixels is good to 1/128: the data
    count from the middle of the layer.
    """
    everything = np.concatenate(data)
    middle = np.round((everything.min(axis=0) + everything.max(axis=0)) / 2)
    for index, places in enumerate(data):
        data[index] = (places - 0.5 - middle)[:, ::-1]
    unit = mpp or 1.0
    return {"scale": (unit, unit), "translate": tuple(middle[::-1] * unit)}


def _table(rows: Sequence[tuple[QuPathObject, str]]) -> dict[str, Any]:
    columns: dict[str, list[Any]] = {
        "id": [found.id for found, _ in rows],
        "ring": [ring for _, ring in rows],
        "class": [found.classification or "" for found, _ in rows],
        "name": [found.name or "" for found, _ in rows],
        "type": [found.object_type for found, _ in rows],
        "locked": [found.locked for found, _ in rows],
    }
    names = dict.fromkeys(name for found, _ in rows for name in found.measurements)
    for name in names:
        if name not in (*COLUMNS, "index"):
            columns[name] = [
                found.measurements.get(name, float("nan")) for found, _ in rows
            ]
    # What is drawn anew is of this class, and no object that is here already.
    defaults: dict[str, Any] = {name: float("nan") for name in columns}
    defaults |= {"id": "", "ring": "", "name": "", "type": "annotation"}
    defaults |= {"class": columns["class"][0], "locked": False}
    return {"features": columns, "feature_defaults": defaults}


def _width(geometry: BaseGeometry) -> float:
    """Return a line width in level-0 pixels: large regions are looked at from afar."""
    left, top, right, bottom = geometry.bounds
    return float(min(max(2.0, max(right - left, bottom - top) / 200), 50.0))


def _colors(objects: Sequence[QuPathObject]) -> list[str]:
    """Return what QuPath would show: an object's own colour, or else its class's."""
    return [_hex(found) for found in objects]


def _hex(found: QuPathObject) -> str:
    color: RGB | None = found.object_color or found.color
    if color is None and found.classification:
        color = class_color(found.classification)
    # QuPath's own default is red.
    red, green, blue = color or (255, 0, 0)
    return f"#{red:02x}{green:02x}{blue:02x}"
