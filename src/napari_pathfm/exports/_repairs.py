"""What of a file of objects can be repaired is, with a notice for each."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.exports._dialects import PARENT

if TYPE_CHECKING:
    from napari_pathfm.exports._objects import QuPathObjects

# Shapely's number for a GeometryCollection, which QuPath has no region for.
_COLLECTION = 7


def mend(objects: QuPathObjects) -> None:
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
