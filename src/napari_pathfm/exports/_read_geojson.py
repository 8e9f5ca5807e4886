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
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.exports._dialects import (
    CHILDREN,
    FAULTS,
    outline,
    parse_feature,
    read_geometry,
)
from napari_pathfm.exports._json_stream import JsonStream
from napari_pathfm.exports._objects import QuPathObject, QuPathObjects
from napari_pathfm.exports._repairs import mend

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._files import PathLike

# Outlines that are made at once.
_TOGETHER = 4096


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
        import shapely

        self._stream = stream
        self._source = source
        # An object's place is known before the object: its children may stand first.
        self._found: list[QuPathObject | None] = []
        # Plain outlines wait for others: many are made at once in a third of the time.
        self._waiting: list[tuple[int, npt.NDArray[np.float64]]] = []
        self._placeholder = shapely.Polygon()

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
        self._make_outlines()
        members.pop("type", None)
        objects = QuPathObjects(cast("list[QuPathObject]", self._found))
        objects.members = members
        mend(objects)
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
            self._found[place] = parse_feature(
                feature, properties, parent, lambda shape: self._geometry(place, shape)
            )
        except FAULTS as error:
            raise self._fault(place, " ".join(str(error).split())) from error

    def _geometry(self, place: int, shape: object) -> BaseGeometry:
        """Read a geometry, or give an empty one in place of one that waits."""
        found = outline(shape)
        if found is None:
            return read_geometry(shape)
        self._waiting.append((place, found))
        if len(self._waiting) > _TOGETHER:
            # Not the last one, whose object is not there yet.
            self._make_outlines(len(self._waiting) - 1)
        return self._placeholder

    def _make_outlines(self, count: int | None = None) -> None:
        """Make polygons of the outlines that wait, and give them to their objects."""
        import shapely

        ready = self._waiting[:count]
        self._waiting = self._waiting[len(ready) :]
        if not ready:
            return
        sizes = [len(array) for _, array in ready]
        owners = np.repeat(np.arange(len(ready)), sizes)
        places = np.concatenate([array for _, array in ready])
        if len(bad := owners[~np.isfinite(places).all(axis=1)]):
            reason = "its geometry has coordinates that are no numbers"
            raise self._fault(ready[bad[0]][0], reason)
        rings = shapely.linearrings(places, indices=owners)
        for (place, _), polygon in zip(ready, shapely.polygons(rings), strict=True):
            # Nobody has seen the object yet.
            object.__setattr__(self._found[place], "geometry", polygon)

    def _fault(self, place: int, reason: str) -> PathfmError:
        return PathfmError(
            f"{self._source}: object {place + 1} cannot be read: {reason}."
        )
