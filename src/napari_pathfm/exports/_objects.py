"""QuPath objects as read from GeoJSON, in every dialect that QuPath itself reads."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.exports._features import (
    OBJECT_TYPES,
    RGB,
    Feature,
    annotation_feature,
)

if TYPE_CHECKING:
    from pathlib import Path

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
_FAULTS = (
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    OverflowError,
    RecursionError,
)


@dataclass(frozen=True)
class QuPathObject:
    """One object of a QuPath file.

    Attributes
    ----------
    geometry : shapely geometry
        Level-0 pixels ``(x, y)``, corner origin, as it stands in the file.
    object_type : str
        ``annotation | detection | cell | tile | tmaCore | root``; anything else in the
        file is an annotation, as for QuPath.
    id : str or None
        The UUID, or None where the file has none.
    name, classification : str or None
        A derived class reads ``"Tumor: Positive"``.
    color : (r, g, b) or None
        Of the class; of the object where it has no class.
    object_color : (r, g, b) or None
        Of a classified object alone, different from its class.
    measurements : dict of str to float
    metadata : dict of str to str
    locked, ellipse : bool
        `ellipse`: the geometry stands for the ellipse in its bounding box.
    parent : int or None
        Index in the list of the object that this one is a child of.
    """

    geometry: BaseGeometry
    object_type: str = "annotation"
    id: str | None = None
    name: str | None = None
    classification: str | None = None
    color: RGB | None = None
    object_color: RGB | None = None
    measurements: dict[str, float] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    locked: bool = False
    ellipse: bool = False
    parent: int | None = None

    def to_feature(self) -> Feature:
        """Return the feature that reads back as this object, less its place in a tree.

        Raises
        ------
        OutputError
            QuPath has no region for the geometry.
        """
        return annotation_feature(
            self.geometry,
            name=self.name,
            classification=self.classification,
            color=self.color,
            measurements=self.measurements,
            metadata=self.metadata,
            locked=self.locked,
            object_type=self.object_type,
            id=self.id,
            object_color=self.object_color,
            ellipse=self.ellipse,
        )


def parse_objects(document: object, source: Path) -> list[QuPathObject]:
    """Return the objects of a parsed GeoJSON document.

    Parameters
    ----------
    document : object
        What `json.loads` gave.
    source : pathlib.Path
        Named in errors.

    Raises
    ------
    PathfmError
        One line that names the file, the object by its number from 1, and the fault.
    """
    if isinstance(document, Mapping) and document.get("type") == "FeatureCollection":
        document = document.get("features")
    elif isinstance(document, Mapping) and document.get("type") == "Feature":
        document = [document]
    elif isinstance(document, Mapping) and "coordinates" in document:
        document = [{"type": "Feature", "geometry": document}]
    if not isinstance(document, list):
        raise PathfmError(
            f"{source} is no GeoJSON of objects: it is neither a FeatureCollection "
            "nor a list of features."
        )
    objects: list[QuPathObject] = []
    # A stack, not recursion: files may nest as deep as they like.
    waiting: list[tuple[object, int | None]] = [(item, None) for item in document[::-1]]
    while waiting:
        item, parent = waiting.pop()
        try:
            parsed, children = _object(item, parent)
        except _FAULTS as error:
            reason = " ".join(str(error).split())
            raise PathfmError(
                f"{source}: object {len(objects) + 1} cannot be read: {reason}."
            ) from error
        waiting += [(child, len(objects)) for child in children[::-1]]
        objects.append(parsed)
    return objects


def _object(item: object, parent: int | None) -> tuple[QuPathObject, list[Any]]:
    if not isinstance(item, Mapping):
        raise TypeError(f"a feature is an object, not {_short(item)}")
    properties = item.get("properties") or {}
    if not isinstance(properties, Mapping):
        raise TypeError(f"properties are {_short(properties)}")
    shape = item.get("geometry")
    identity = item.get("id")
    kind = next(
        (
            properties[key]
            for key in ("objectType", "object_type", "type")
            if key in properties
        ),
        identity if identity in _LEGACY_TYPES else "annotation",
    )
    kind = _LEGACY_TYPES.get(kind, kind) if isinstance(kind, str) else kind
    classification, class_color = _classification(properties.get("classification"))
    own_color = _color(properties.get("color"))
    children = properties.get("childObjects", properties.get("children")) or []
    if not isinstance(children, list):
        raise TypeError(f"childObjects are {_short(children)}")
    name = properties.get("name")
    parsed = QuPathObject(
        geometry=_geometry(shape),
        object_type=kind if kind in OBJECT_TYPES else "annotation",
        id=_uuid(identity),
        name=None if name is None else str(name),
        classification=classification,
        color=class_color if classification else own_color,
        object_color=own_color if classification else None,
        measurements=_measurements(properties.get("measurements")),
        metadata=_metadata(properties.get("metadata")),
        locked=properties.get("isLocked") is True,
        ellipse=isinstance(shape, Mapping) and shape.get("isEllipse") is True,
        parent=parent,
    )
    return parsed, children


def _geometry(shape: object) -> BaseGeometry:
    import shapely
    from shapely.geometry import shape as from_mapping

    if not isinstance(shape, Mapping):
        raise TypeError("it has no geometry")
    try:
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
    if not isinstance(value, Mapping):
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
    if not isinstance(value, Mapping):
        raise TypeError(f"the measurements are {_short(value)}")
    return {
        str(name): float("nan") if number is None else float(number)
        for name, number in value.items()
    }


def _metadata(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"the metadata are {_short(value)}")
    return {
        str(key): entry if isinstance(entry, str) else json.dumps(entry)
        for key, entry in value.items()
    }


def _uuid(value: object) -> str | None:
    try:
        return str(uuid.UUID(value)) if isinstance(value, str) else None
    except ValueError:
        return None


def _short(value: object) -> str:
    """Return the JSON of a value, cut so that a message stays one line."""
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
