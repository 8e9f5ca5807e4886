"""One feature in any dialect that QuPath reads, as an object."""

from __future__ import annotations

import json
import re
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.exports._features import OBJECT_TYPES, RGB, object_id
from napari_pathfm.exports._objects import QuPathObject

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

# QuPath 0.2 wrote the type where the id stands now, 0.3 in another spelling.
_LEGACY_TYPES = {
    "PathAnnotationObject": "annotation",
    "PathDetectionObject": "detection",
    "PathCellObject": "cell",
    "PathTileObject": "tile",
    "TMACoreObject": "tmaCore",
    "tma_core": "tmaCore",
    "PathRootObject": "root",
}

# What wrong types, missing members and absurd numbers raise on the way through.
FAULTS = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)

# As nearly every file writes it; to look is ten times quicker than to parse.
_CANONICAL = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

#: Where a feature's children stand, in their two spellings.
CHILDREN = ("childObjects", "children")

#: The property that names a parent instead.
PARENT = "parent"

_TYPES = ("objectType", "object_type", "type")
_PROPERTIES = {
    *CHILDREN,
    "classification",
    "color",
    "isLocked",
    "measurements",
    "metadata",
    "name",
}
_MEMBERS = {"type", "id", "geometry", "properties"}


def parse_feature(
    feature: Mapping[str, Any],
    properties: Mapping[str, Any],
    parent: int | None,
    geometry: Callable[[object], BaseGeometry] | None = None,
) -> QuPathObject:
    """Return the object of a feature without its children.

    Parameters
    ----------
    feature : mapping
        Its members; ``properties`` among them only where they are no object.
    properties : mapping
    parent : int, optional
        See `QuPathObject`.
    geometry : callable, optional
        In place of `read_geometry`.

    Raises
    ------
    `FAULTS`
        What is wrong with it.
    """
    if feature.get("properties"):
        raise TypeError(f"properties are {_short(feature['properties'])}")
    for key in CHILDREN:
        if properties.get(key):
            raise TypeError(f"{key} are {_short(properties[key])}")
    identity = feature.get("id")
    typed = next((key for key in _TYPES if key in properties), None)
    kind: object = identity if identity in _LEGACY_TYPES else "annotation"
    if typed is not None:
        kind = properties[typed]
    kind = _LEGACY_TYPES.get(kind, kind) if isinstance(kind, str) else kind
    classification, class_color = _classification(properties.get("classification"))
    own_color = _color(properties.get("color"))
    name = properties.get("name")
    shape = feature.get("geometry")
    return QuPathObject(
        geometry=(geometry or read_geometry)(shape),
        object_type=str(kind) if kind in OBJECT_TYPES else "annotation",
        id=_id(identity),
        name=None if name is None else str(name),
        classification=classification,
        color=class_color if classification else own_color,
        object_color=own_color if classification else None,
        measurements=_measurements(properties.get("measurements")),
        metadata=_metadata(properties.get("metadata")),
        locked=properties.get("isLocked") is True,
        ellipse=isinstance(shape, dict) and shape.get("isEllipse") is True,
        parent=parent,
        extra={
            key: value
            for key, value in properties.items()
            if key not in _PROPERTIES and key != typed
        },
        members={key: feature[key] for key in feature if key not in _MEMBERS},
    )


def outline(shape: object) -> npt.NDArray[np.float64] | None:
    """Return the one outline of a plain polygon, as most objects are.

    Returns
    -------
    float64 (N, 2) or None
        None for all other geometries, and where it is no list of positions. Whether all
        are numbers is for who makes a polygon of it.
    """
    match shape:
        case {"type": "Polygon", "coordinates": [[_, _, _, _, *_] as ring]}:
            try:
                array = np.array(ring, dtype=np.float64)
            except (TypeError, ValueError):
                return None
            if array.ndim == 2 and array.shape[1] >= 2:
                return array[:, :2]
    return None


def read_geometry(shape: object) -> BaseGeometry:
    """Return a geometry in level-0 pixels.

    Raises
    ------
    TypeError, ValueError
        What is wrong with it.
    """
    import shapely
    from shapely.geometry import shape as from_mapping

    if not isinstance(shape, dict):
        raise TypeError("it has no geometry")
    try:
        match shape:
            case {"type": "Polygon", "coordinates": [ring]}:
                # One outline, as most objects have: an array is quicker than tuples.
                array = np.array(ring, dtype=np.float64)
                if array.ndim != 2 or array.shape[1] < 2:
                    raise ValueError("its outline is no list of positions")
                geometry = shapely.polygons(array[:, :2])
            case _:
                geometry = shapely.force_2d(from_mapping(shape))
    except shapely.errors.ShapelyError as error:
        raise ValueError(str(error)) from error
    if geometry.is_empty:
        raise ValueError("its geometry has no coordinates")
    if not np.isfinite(shapely.get_coordinates(geometry)).all():
        raise ValueError("its geometry has coordinates that are no numbers")
    return geometry


def _classification(value: object) -> tuple[str | None, RGB | None]:
    """Read a class: an object, a bare string, or the form before QuPath 0.4."""
    if value is None or value == {}:
        return None, None
    if isinstance(value, str):
        return value or None, None
    if not isinstance(value, dict):
        raise TypeError(f"the classification is {_short(value)}")
    names = value.get("names", value.get("name"))
    if isinstance(names, list):
        names = ": ".join(map(str, names))
    older = value.get("parentClass")
    if names and older:
        ancestor, _ = _classification(older)
        names = f"{ancestor}: {names}"
    color = _color(value.get("color", value.get("colorRGB")))
    return (str(names) if names else None), color


def _color(value: object) -> RGB | None:
    """Read [r, g, b], [r, g, b, alpha], or Java's packed integer."""
    if value is None or value == []:
        return None
    if isinstance(value, int) and not isinstance(value, bool):
        return (value >> 16) & 255, (value >> 8) & 255, value & 255
    if isinstance(value, list) and len(value) in (3, 4):
        red, green, blue = (int(channel) for channel in value[:3])
        if all(0 <= channel <= 255 for channel in (red, green, blue)):
            return red, green, blue
    raise ValueError(f"a colour is [r, g, b] from 0 to 255, not {_short(value)}")


def _measurements(value: object) -> dict[str, float]:
    """Read a mapping, or the list of name and value before QuPath 0.4."""
    if value is None:
        return {}
    if isinstance(value, list):
        value = {str(entry["name"]): entry.get("value") for entry in value}
    if not isinstance(value, dict):
        raise TypeError(f"the measurements are {_short(value)}")
    return {
        str(name): float("nan") if number is None else float(number)
        for name, number in value.items()
    }


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"the metadata are {_short(value)}")
    return {
        str(key): entry if isinstance(entry, str) else json.dumps(entry)
        for key, entry in value.items()
    }


def _id(value: object) -> str | None:
    """Keep a UUID; any other string that is not a type names the object for good."""
    if not isinstance(value, str) or not value or value in _LEGACY_TYPES:
        return None
    if _CANONICAL.fullmatch(value):
        return value
    try:
        return str(uuid.UUID(value))
    except ValueError:
        return object_id(value)


def _short(value: object) -> str:
    """Return the JSON of a value, cut so that a message stays one line."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
