"""Layers that were made from QuPath objects, back to those objects, with the edits."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._features import OBJECT_TYPES
from napari_pathfm.exports._layer_place import layer_name, layer_place
from napari_pathfm.exports._layer_shapes import shape_geometry
from napari_pathfm.exports._object_layers import (
    COLUMNS,
    OBJECTS_KEY,
    LayerObjects,
    rings,
)
from napari_pathfm.exports._objects import QuPathObject
from napari_pathfm.exports._raster import repaint

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._layer_place import LayerPlace, LayerTuple

#: Level-0 pixels by which a vertex may be off and still count as untouched: what
#: float32 and micrometres leave of a coordinate on the largest slides.
UNTOUCHED = 0.01

_NAMELESS = ("", "nan", "None", "<NA>")


def layer_store(attributes: Mapping[str, Any]) -> LayerObjects | None:
    """Return what a layer was made from by `objects_to_layers`, or None."""
    found = (attributes.get("metadata") or {}).get(OBJECTS_KEY)
    return found if isinstance(found, LayerObjects) else None


def layer_objects(layer: LayerTuple, *, mpp: float | None = None) -> list[QuPathObject]:
    """Return the objects of a layer that `objects_to_layers` made.

    Parameters
    ----------
    layer : (data, attributes, type)
        As napari gives it now.
    mpp : float, optional
        As for `layer_features`.

    Returns
    -------
    list of QuPathObject
        What nobody touched is as it was, to the last digit. Moved outlines, classes,
        names, types, locks and measurements are as they are now, under the same ids;
        deleted objects are gone. What was drawn or painted anew has no id, and of its
        row only the class and the type count.

    Raises
    ------
    OutputError
        The layer was not made from objects, or an object has no extent any more.
    MissingMppError, PathfmError
        As for `layer_features`.
    """
    data, attributes, kind = layer
    store = layer_store(attributes)
    if store is None:
        raise OutputError(
            f"The layer {layer_name(attributes)!r} was not made from QuPath objects."
        )
    table = _Table(attributes, store)
    if kind == "labels":
        return list(_labels(data, attributes, store, table, mpp))
    return list(_rows(data, attributes, store, table, mpp, kind))


def _rows(
    data: Any,
    attributes: Mapping[str, Any],
    store: LayerObjects,
    table: _Table,
    mpp: float | None,
    kind: str,
) -> Iterator[QuPathObject]:
    if not len(data):
        return
    place = layer_place(attributes, np.shape(data[0])[-1], mpp=mpp)
    kinds = attributes.get("shape_type", "polygon")
    kinds = [kinds] * len(data) if isinstance(kinds, str) else list(map(str, kinds))
    known = {str(found.id): found for found in store.objects}
    # A copied shape has its model's row: the first with a ring's name has it.
    rows: dict[str, dict[str, int]] = {}
    new = []
    for row in range(len(data)):
        id, ring = table.text("id", row), table.text("ring", row)
        mine = rows.setdefault(id, {}) if id in known else {}
        if id not in known or not ring or ring in mine:
            new.append(row)
        else:
            mine[ring] = row
    for id, mine in rows.items():
        found = known[id]
        now = {
            ring: place.level0(np.atleast_2d(data[row])) for ring, row in mine.items()
        }
        if not _same(now, found.geometry):
            geometry = _assembled(now)
            if geometry is None:
                continue
            upright = found.ellipse and _is_ellipse(geometry)
            found = replace(found, geometry=geometry, ellipse=upright)
        yield table.edited(found, next(iter(mine.values())))
    for row in new:
        yield table.drawn(row, *_drawn(data[row], kinds[row], kind, place))


def _drawn(
    vertices: Any, shape: str, kind: str, place: LayerPlace
) -> tuple[BaseGeometry, bool]:
    import shapely

    places = np.asarray(vertices, dtype=np.float64)
    if kind == "points":
        return shapely.Point(place.level0(places)), False
    return shape_geometry(places, shape, place)


def _same(now: dict[str, npt.NDArray[np.float64]], geometry: BaseGeometry) -> bool:
    before = dict(rings(geometry))
    return before.keys() == now.keys() and all(
        before[ring].shape == now[ring].shape
        and np.abs(before[ring] - now[ring]).max() <= UNTOUCHED
        for ring in before
    )


def _assembled(
    now: dict[str, npt.NDArray[np.float64]],
) -> BaseGeometry | None:
    """Put a geometry together again from its rings, lines or points."""
    import shapely

    polygons: dict[str, list[npt.NDArray[np.float64]]] = {}
    others = []
    for ring in sorted(now, key=lambda text: [int(part) for part in text.split(".")]):
        number, _, hole = ring.partition(".")
        if not hole:
            single = len(now[ring]) == 1
            others.append((shapely.Point if single else shapely.LineString)(now[ring]))
        elif hole == "0" or number in polygons:
            polygons.setdefault(number, []).append(now[ring])
        # Else its outer ring was deleted, and the hole with it.
    areas = [shapely.Polygon(outer, holes) for outer, *holes in polygons.values()]
    parts = areas or others
    if not parts:
        return None
    if len(parts) == 1:
        return parts[0]
    if areas:
        return shapely.MultiPolygon(areas)
    if all(part.geom_type == "Point" for part in others):
        return shapely.MultiPoint(others)
    return shapely.MultiLineString(others)


def _is_ellipse(geometry: BaseGeometry) -> bool:
    """Return whether an outline still is the ellipse in its bounding box."""
    import shapely

    left, top, right, bottom = geometry.bounds
    radii = np.array([right - left, bottom - top]) / 2
    places = shapely.get_coordinates(geometry) - (left + radii[0], top + radii[1])
    return bool(np.abs(np.hypot(*(places / radii).T) - 1).max() < 0.02)


def _labels(
    data: Any,
    attributes: Mapping[str, Any],
    store: LayerObjects,
    table: _Table,
    mpp: float | None,
) -> Iterator[QuPathObject]:
    import shapely

    raster = store.raster
    labels = np.asarray(data)
    if raster is None or labels.shape != raster.labels.shape:
        raise OutputError(
            f"The labels {layer_name(attributes)!r} have another size than when they "
            "were made from QuPath objects; open the file again."
        )
    place = layer_place(attributes, 2, mpp=mpp)
    geometries = [found.geometry for found in store.objects]
    corner = np.array(raster.origin)
    ends = np.stack([corner, corner + np.array(labels.shape)[::-1] * raster.stride])
    moved = np.abs(place.level0(raster.places(ends)) - ends).max() > UNTOUCHED
    if moved:
        geometries = [
            shapely.transform(shape, lambda xy: place.level0(raster.places(xy)))
            for shape in geometries
        ]
    changed, new = repaint(raster, labels, geometries, place.level0)
    for index, found in enumerate(store.objects):
        geometry = changed.get(index, geometries[index])
        if geometry is None:
            continue
        if index in changed or moved:
            found = replace(found, geometry=geometry, ellipse=False)
        yield table.edited(found, index + 1)
    for value, geometry in new.items():
        yield table.drawn(value, geometry, False)


class _Table:
    """A layer's features, by row; of labels, by value."""

    def __init__(self, attributes: Mapping[str, Any], store: LayerObjects) -> None:
        table = attributes.get("features")
        self._columns = (
            {} if table is None else {str(key): list(table[key]) for key in table}
        )
        index = self._columns.pop("index", None) if store.raster else None
        self._rows = None if index is None else {v: n for n, v in enumerate(index)}
        self._numbers = [
            name
            for name, cells in self._columns.items()
            if name not in COLUMNS and all(_is_number(cell) for cell in cells)
        ]
        self._store = store
        self._colors = {
            found.classification: found.color for found in store.objects[::-1]
        }

    def text(self, column: str, key: int) -> str:
        """Return a cell as text; "" where it is missing."""
        value = self._cell(column, key)
        return "" if str(value) in _NAMELESS else str(value).strip()

    def edited(self, found: QuPathObject, key: int) -> QuPathObject:
        """Return an object with what its row says now."""
        if self._cell("id", key) is None:
            return found
        changes: dict[str, Any] = {}
        name, title = self.text("name", key), self.text("class", key)
        if name != (found.name or "").strip():
            changes["name"] = name or None
        if title != (found.classification or "").strip():
            changes["classification"] = title or None
            changes["color"] = self._colors.get(title)
        kind = self.text("type", key)
        if kind in OBJECT_TYPES and kind != found.object_type:
            changes["object_type"] = kind
        locked = self._cell("locked", key)
        if isinstance(locked, (bool, np.bool_)) and locked != found.locked:
            changes["locked"] = bool(locked)
        for column in self._numbers:
            number = float(cast("float", self._cell(column, key)))
            before = found.measurements.get(column, math.nan)
            if number == before or (math.isnan(number) and math.isnan(before)):
                continue
            edited = changes.setdefault("measurements", dict(found.measurements))
            if math.isnan(number):
                del edited[column]
            else:
                edited[column] = number
        return replace(found, **changes) if changes else found

    def drawn(self, key: int, geometry: BaseGeometry, ellipse: bool) -> QuPathObject:
        """Return an object that was not there before."""
        title = self.text("class", key) or None
        if title is None and self._store.raster:
            title = self._store.objects[0].classification
        kind = self.text("type", key)
        return QuPathObject(
            geometry,
            object_type=kind if kind in OBJECT_TYPES else "annotation",
            classification=title,
            color=self._colors.get(title),
            ellipse=ellipse,
        )

    def _cell(self, column: str, key: int) -> Any:
        row = key if self._rows is None else self._rows.get(key)
        cells = self._columns.get(column)
        return None if cells is None or row is None else cells[row]


def _is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float, np.number)) and not isinstance(cell, bool)
