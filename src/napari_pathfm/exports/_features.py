"""QuPath objects as GeoJSON features.

The contract is QuPath's own reader (``QuPathTypeAdapters.java`` and ``GsonTools.java``,
0.4 to 0.8). What it asks for beyond RFC 7946, and where each demand comes from, stands
at the line that meets it.
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import math
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from napari_pathfm.exports._geometry import geometry_json, qupath_geometry

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

Feature = dict[str, Any]
RGB = tuple[int, int, int]

OBJECT_TYPES = ("annotation", "detection", "cell", "tile", "tmaCore", "root")

SYNTHETIC_CLASS = "Synthetic"

#: Classes that this program itself makes, in colours that the colour-blind tell apart.
CLASS_COLORS: Mapping[str, RGB] = {
    SYNTHETIC_CLASS: (204, 121, 167),
    "like": (0, 114, 178),
    "unlike": (213, 94, 0),
}

#: The namespace under which keys become UUIDs; never change it, or ids change.
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "napari-pathfm.exports")
_NAMESPACE_HASH = hashlib.sha1(_NAMESPACE.bytes, usedforsecurity=False)


def object_id(*key: object) -> str:
    """Return the UUID that always belongs to `key`.

    Parameters
    ----------
    *key : object
        What names the object for good, e.g. the slide's fingerprint and a position.

    Returns
    -------
    str
        A version-5 UUID: the same key gives the same id on every machine, so that an
        object exported twice stays one object.
    """
    # What uuid.uuid5 does, without its objects: a slide has a million tiles.
    digest = _NAMESPACE_HASH.copy()
    digest.update("\x1f".join(map(str, key)).encode())
    text = digest.hexdigest()
    variant = "89ab"[int(text[16], 16) & 3]
    return (
        f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{variant}{text[17:20]}-{text[20:32]}"
    )


def class_color(classification: str) -> RGB:
    """Return the colour of a class that was given none: always the same one."""
    if classification in CLASS_COLORS:
        return CLASS_COLORS[classification]
    digest = hashlib.sha256(classification.encode()).digest()
    hue, value = digest[0] / 256, 0.65 + 0.3 * digest[1] / 255
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.75, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def annotation_feature(
    geometry: BaseGeometry,
    *,
    name: str | None = None,
    classification: str | Sequence[str] | None = None,
    color: Sequence[int] | None = None,
    measurements: Mapping[str, float] | None = None,
    metadata: Mapping[str, Any] | None = None,
    locked: bool = False,
    object_type: str = "annotation",
    id: str | uuid.UUID | None = None,
    object_color: Sequence[int] | None = None,
    ellipse: bool = False,
) -> Feature:
    """Return one QuPath object as a GeoJSON feature.

    Parameters
    ----------
    geometry : shapely geometry
        In level-0 pixels ``(x, y)``, origin at the corner of the first pixel.
    name : str, optional
        What QuPath shows beside the object.
    classification : str or sequence of str, optional
        The class. ``"Tumor: Positive"`` and ``["Tumor", "Positive"]`` are the same
        derived class.
    color : (r, g, b), optional
        Of the class, 0 to 255; `class_color` where there is a class and no colour.
        Of the object itself where there is no class.
    measurements : mapping of str to float, optional
        NaN and infinities allowed.
    metadata : mapping, optional
        Becomes strings: see `flat_metadata`.
    locked : bool
    object_type : str
        One of `OBJECT_TYPES`.
    id : str or uuid.UUID, optional
        A UUID is kept. Any other string names the object and becomes its
        `object_id`. None is a new random UUID.
    object_color : (r, g, b), optional
        Of this object alone, which QuPath shows instead of its class's colour, even
        after the class is changed: hence apart from `color`.
    ellipse : bool
        The geometry stands for the ellipse that fills its bounding box.

    Returns
    -------
    dict
        JSON-serialisable without NaN.

    Raises
    ------
    OutputError
        The geometry cannot be exported.
    ValueError
        `object_type` or a colour is none.
    """
    if object_type not in OBJECT_TYPES:
        raise ValueError(f"object_type must be one of {OBJECT_TYPES}: {object_type!r}")
    shape = geometry_json(qupath_geometry(geometry))
    if ellipse:
        shape["isEllipse"] = True
    properties: dict[str, Any] = {"objectType": object_type}
    if name:
        properties["name"] = str(name)
    names = class_names(classification)
    if names:
        properties["classification"] = class_entry(names, color)
    elif object_color is None:
        object_color = color
    if object_color is not None:
        properties["color"] = _rgb(object_color)
    if locked:
        properties["isLocked"] = True
    if measurements:
        properties["measurements"] = {
            str(key): measurement(value) for key, value in measurements.items()
        }
    if metadata:
        properties["metadata"] = flat_metadata(metadata)
    return {
        "type": "Feature",
        "id": _uuid(id),
        "geometry": shape,
        "properties": properties,
    }


def class_entry(
    names: Sequence[str], color: Sequence[int] | None = None
) -> dict[str, Any]:
    """Return a class as a feature's properties name it: one name, or a derived one."""
    key = {"name": names[0]} if len(names) == 1 else {"names": list(names)}
    # Always with a colour: QuPath up to 0.4 refuses a class object without one.
    chosen = color if color is not None else class_color(": ".join(names))
    return {**key, "color": _rgb(chosen)}


def class_names(classification: str | Sequence[str] | None) -> list[str]:
    """Split a class into the names QuPath derives it from; empty for none."""
    if classification is None:
        return []
    if isinstance(classification, str):
        classification = classification.split(":")
    # QuPath forbids line breaks within a class's name.
    names = (" ".join(str(name).splitlines()).strip() for name in classification)
    return [name for name in names if name]


def measurement(value: float) -> float | str:
    """Return a number as JSON can hold it.

    JSON has no NaN; QuPath takes the words as strings since 0.4.4 and reads neither
    form before (qupath issue 1293).
    """
    number = float(value)
    if math.isfinite(number):
        return number
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def flat_metadata(metadata: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Return nested metadata as the string-to-string map that QuPath keeps.

    Nested keys are joined with a dot, lists are JSON, None is left out, and booleans
    are ``true`` and ``false``. Anything else QuPath would drop without a word.
    """
    flat: dict[str, str] = {}
    for key, value in metadata.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            flat |= flat_metadata(value, f"{name}.")
        elif isinstance(value, str):
            flat[name] = value
        elif isinstance(value, (bool, list, tuple)):
            flat[name] = json.dumps(value)
        elif value is not None:
            flat[name] = str(value)
    return flat


def _rgb(color: Sequence[int]) -> list[int]:
    """Return `color` as the three integers that QuPath takes."""
    channels = [int(channel) for channel in color]
    if len(channels) != 3 or not all(0 <= channel <= 255 for channel in channels):
        raise ValueError(f"a colour is three integers from 0 to 255, not {color!r}")
    return channels


def _uuid(key: str | uuid.UUID | None) -> str:
    if key is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(str(key)))
    except ValueError:
        return object_id(key)
