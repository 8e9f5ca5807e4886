"""GeoJSON files of QuPath, streamed in.

QuPath takes a FeatureCollection, a bare array of features, one feature, or a geometry;
so does this. Only one object of the text is in memory at a time, and nothing of it is
ever run.
"""

from __future__ import annotations

import gc
import gzip
import io
import json
import zlib
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.exports._dialects import CHILDREN, FAULTS, PARENT, parse_feature
from napari_pathfm.exports._json_stream import JsonStream
from napari_pathfm.exports._objects import QuPathObject, QuPathObjects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_pathfm.exports._files import PathLike

# Shapely's number for a GeometryCollection, which QuPath has no region for.
_COLLECTION = 7


def read_geojson(path: PathLike) -> QuPathObjects:
    """Read what QuPath, or `write_geojson`, wrote.

    Parameters
    ----------
    path : path-like
        Plain or gzip-compressed, whatever its name.

    Returns
    -------
    QuPathObjects
        A list of `QuPathObject` in file order, children right after their parents.
        Its ``notices`` say which objects were repaired: outlines that cross themselves,
        parents that are not there, ids that two objects have.

    Raises
    ------
    PathfmError
        The file is missing, damaged, or not of this form: one line that names the
        file and the object.
    """
    name = Path(path)
    try:
        with open(name, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            raw = gzip.GzipFile(fileobj=file) if packed else file
            with (
                io.TextIOWrapper(cast("Any", raw), "utf-8-sig", newline="") as text,
                _without_collector(),
            ):
                return _Reading(JsonStream(text), name).document()
    except FileNotFoundError as error:
        raise PathfmError(f"There is no file {name}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise PathfmError(f"{name} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise PathfmError(f"{name} is no GeoJSON: it is not text.") from error
    except ValueError as error:
        raise PathfmError(
            f"{name} is no GeoJSON, or only a part of it: {error}; export it again."
        ) from error
    except OverflowError as error:
        raise PathfmError(f"{name} cannot be read: {error}.") from error
    except RecursionError as error:
        raise PathfmError(f"{name} cannot be read: it is nested too deep.") from error


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep the collector of circular garbage from looking through every object.

    There is none here, and it takes a third of the time.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class _Reading:
    """The objects of one file, as far as they have been read."""

    def __init__(self, stream: JsonStream, source: Path) -> None:
        self._stream = stream
        self._source = source
        # An object's place is known before the object: its children may stand first.
        self._found: list[QuPathObject | None] = []

    def document(self) -> QuPathObjects:
        """Read the whole text."""
        members: dict[str, Any] = {}
        collection = self._stream.peek() == "["
        if collection:
            self._features()
        elif self._stream.peek() == "{":
            for key in self._stream.members():
                if key == "features" and self._stream.peek() == "[":
                    collection = True
                    self._features()
                else:
                    members[key] = self._stream.value()
        else:
            self._stream.value()
        if self._stream.peek():
            raise ValueError("there is more text behind its end")
        if not collection:
            self._one(members)
            members = {}
        members.pop("type", None)
        objects = QuPathObjects(cast("list[QuPathObject]", self._found))
        objects.members = members
        _mend(objects)
        return objects

    def _one(self, document: dict[str, Any]) -> None:
        """Read the one feature, or the one geometry, that the text was."""
        if document.get("type") != "Feature":
            if "coordinates" not in document:
                raise PathfmError(
                    f"{self._source} is no GeoJSON of objects: it is neither a "
                    "FeatureCollection nor a list of features."
                )
            document = {"type": "Feature", "geometry": document}
        self._parsed(document, None)

    def _features(self) -> None:
        for _ in self._stream.items():
            # A stack, not recursion: objects may nest as deep as they like.
            open_ones = [self._feature(None)]
            while open_ones:
                parent = next(open_ones[-1], None)
                if parent is None:
                    open_ones.pop()
                else:
                    open_ones.append(self._feature(parent))

    def _feature(self, parent: int | None) -> Iterator[int]:
        """Read one feature; yield its own place whenever a child is to be read."""
        if self._stream.peek() != "{":
            self._parsed(self._stream.value(), parent)
            return
        whole = self._stream.at_hand()
        if whole is not None:
            self._parsed(whole, parent)
            return
        place = len(self._found)
        self._found.append(None)
        feature: dict[str, Any] = {}
        properties: dict[str, Any] = {}
        for key in self._stream.members():
            if key != "properties" or self._stream.peek() != "{":
                feature[key] = self._stream.value()
                continue
            for entry in self._stream.members():
                if entry not in CHILDREN or self._stream.peek() != "[":
                    properties[entry] = self._stream.value()
                    continue
                for _ in self._stream.items():
                    yield place
        self._fill(place, feature, properties, parent)

    def _parsed(self, item: object, parent: int | None) -> None:
        """Take a feature that is in memory already, and all that is in it."""
        waiting = [(item, parent)]
        while waiting:
            item, parent = waiting.pop()
            place = len(self._found)
            self._found.append(None)
            if not isinstance(item, dict):
                other = json.dumps(item)[:40]
                raise self._fault(place, f"a feature is an object, not {other}")
            properties = item.pop("properties", None)
            if not isinstance(properties, dict):
                item["properties"], properties = properties, {}
            children = [
                child
                for key in CHILDREN
                if isinstance(properties.get(key), list)
                for child in properties.pop(key)
            ]
            self._fill(place, item, properties, parent)
            waiting += [(child, place) for child in children[::-1]]

    def _fill(
        self,
        place: int,
        feature: dict[str, Any],
        properties: dict[str, Any],
        parent: int | None,
    ) -> None:
        try:
            self._found[place] = parse_feature(feature, properties, parent)
        except FAULTS as error:
            raise self._fault(place, " ".join(str(error).split())) from error

    def _fault(self, place: int, reason: str) -> PathfmError:
        return PathfmError(
            f"{self._source}: object {place + 1} cannot be read: {reason}."
        )


def _mend(objects: QuPathObjects) -> None:
    """Repair what can be, and say so."""
    import shapely

    geometries = np.array([found.geometry for found in objects], dtype=object)
    for index in np.nonzero(shapely.get_type_id(geometries) == _COLLECTION)[0].tolist():
        parts = shapely.get_parts(geometries[index])
        dimensions = shapely.get_dimensions(parts)
        whole = shapely.union_all(parts[dimensions == dimensions.max()])
        objects[index] = replace(objects[index], geometry=whole)
        geometries[index] = whole
        objects.notices.append(
            f"Object {index + 1} was a collection of shapes; it became one of them all."
        )
    for index in np.nonzero(~shapely.is_valid(geometries))[0].tolist():
        objects[index] = replace(
            objects[index],
            geometry=shapely.make_valid(geometries[index], method="structure"),
        )
        objects.notices.append(
            f"Object {index + 1} had an outline that crosses or touches itself; "
            "it was repaired."
        )
    known: dict[str, int] = {}
    for index, found in enumerate(objects):
        if found.id is None or known.setdefault(found.id, index) == index:
            continue
        objects[index] = replace(found, id=None)
        objects.notices.append(
            f"Object {index + 1} had the id of object {known[found.id] + 1}; "
            "it gets an id of its own."
        )
    _name_parents(objects, known)


def _name_parents(objects: QuPathObjects, known: dict[str, int]) -> None:
    """Put objects that name their parent under it."""
    parents = [found.parent for found in objects]
    named = {}
    for index, found in enumerate(objects):
        name = found.extra.get(PARENT)
        if found.parent is None and isinstance(name, str):
            named[index] = known.get(name.lower())
            parents[index] = named[index]
    _cut_circles(parents)
    for index in named:
        if parents[index] is None:
            objects.notices.append(
                f"Object {index + 1} names a parent that is not there or is within "
                "itself; it stands alone."
            )
            continue
        extra = {k: v for k, v in objects[index].extra.items() if k != PARENT}
        objects[index] = replace(objects[index], parent=parents[index], extra=extra)


def _cut_circles(parents: list[int | None]) -> None:
    """Take the parent away from one object of each circle."""
    seen: dict[int, int] = {}
    for start in range(len(parents)):
        index: int | None = start
        while index is not None and index not in seen:
            seen[index] = start
            if (above := parents[index]) is not None and seen.get(above) == start:
                parents[index] = None
            index = parents[index]
