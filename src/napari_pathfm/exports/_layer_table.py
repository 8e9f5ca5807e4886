"""The features table of a layer: classes, names, ids, measurements of its objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._features import Feature, annotation_feature
from napari_pathfm.exports._layer_place import layer_name, our_metadata

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.exports._stable_ids import StableIds

#: Columns of a layer's features table with a meaning of their own. Other columns become
#: measurements where they hold numbers and metadata where they hold text.
_CLASS_COLUMNS = ("class", "classification", "role")
_RESERVED = {*_CLASS_COLUMNS, "name", "id", "index"}


class LayerTable:
    """The features table of a layer, and what goes with every object of it."""

    def __init__(
        self, attributes: Mapping[str, Any], rows: int | None, ids: StableIds
    ) -> None:
        table = attributes.get("features")
        columns = {} if table is None else {str(key): list(table[key]) for key in table}
        if rows is not None:
            columns = {
                key: values for key, values in columns.items() if len(values) == rows
            }
        # A labels layer's rows are found by their value of the column "index".
        index = columns.get("index") if rows is None else None
        self._rows = None if index is None else {v: n for n, v in enumerate(index)}
        self._by_row = rows is not None
        self._columns = columns
        self._numeric = {
            column
            for column, cells in columns.items()
            if column not in _RESERVED and _holds_numbers(cells)
        }
        self._layer = layer_name(attributes)
        self._attributes, self._ids = attributes, ids
        ours = our_metadata(attributes)
        classes = ours.get("classes") if rows is None else None
        # Of labels: their classes in the order of the numbers, with their colours.
        self._classes = list(classes.items()) if isinstance(classes, Mapping) else []
        self._metadata = {"layer": self._layer}
        for key in ("kind", "fingerprint"):
            if ours.get(key):
                self._metadata[key] = str(ours[key])

    def feature(
        self,
        key: int,
        geometry: BaseGeometry,
        *,
        name: str | None = None,
        ellipse: bool = False,
    ) -> Feature:
        """Return the feature of row (or label) `key`."""
        row = key if self._by_row else (self._rows or {}).get(key)
        cells = {} if row is None else {c: v[row] for c, v in self._columns.items()}
        texts = {c: text for c, v in cells.items() if (text := _text(v)) is not None}
        classes = [texts[column] for column in _CLASS_COLUMNS if column in texts]
        title, color = classes[0] if classes else None, None
        if title is None and 0 < key <= len(self._classes):
            title, color = self._classes[key - 1]
            name = None
        numbers = {
            column: float(value)
            for column, value in cells.items()
            if column in self._numeric
        }
        try:
            return annotation_feature(
                geometry,
                name=texts.get("name", name),
                classification=title,
                color=color,
                measurements=numbers,
                metadata=self._metadata
                | {
                    column: text
                    for column, text in texts.items()
                    if column not in _RESERVED and column not in numbers
                },
                id=texts.get("id") or self._id(key, title, geometry),
                ellipse=ellipse,
            )
        except OutputError as error:
            raise OutputError(
                f"Layer {self._layer!r}, object {key}: {error}"
            ) from error

    def _id(self, key: int, title: str | None, geometry: BaseGeometry) -> str:
        if self._by_row:
            return self._ids.drawn(geometry)
        return self._ids.area(self._attributes, title or key, geometry)


def _holds_numbers(cells: list[Any]) -> bool:
    """Return whether a column is one of numbers, not of text with gaps (NaN)."""
    return all(
        isinstance(cell, (int, float, np.number)) and not isinstance(cell, bool)
        for cell in cells
    ) and any(cell == cell for cell in cells)


def _text(value: Any) -> str | None:
    """Return a cell as text, or None for a missing one (None, NaN, NA, empty)."""
    # NaN and pandas' NA are what does not equal itself.
    if value is None or not isinstance(value == value, (bool, np.bool_)):
        return None
    return str(value).strip() or None if value == value else None
