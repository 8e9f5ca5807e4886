"""Ids for objects that were never given one: the same in every export of the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.exports._features import object_id
from napari_pathfm.exports._layer_place import layer_name, our_metadata

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shapely.geometry.base import BaseGeometry

# Layers that a slide has one of, whatever a person calls them.
_OF_THE_SLIDE = ("classes", "labels")


class StableIds:
    """The ids of one export; what would have the same twice has two that stay so."""

    def __init__(self) -> None:
        self._given: dict[tuple[str, ...], int] = {}

    def area(
        self, attributes: Mapping[str, Any], value: int | str, geometry: BaseGeometry
    ) -> str:
        """Name all that one label or class covers in a layer.

        On a known slide it is one object however its border moves: a file that is
        imported again means the same area. Of a slide that is not known, and could be
        any, only the outline tells.

        Parameters
        ----------
        attributes : mapping
            Of the layer.
        value : int or str
            The class, or the label's number where it has none.
        geometry : shapely geometry
            Level-0.
        """
        ours = our_metadata(attributes)
        fingerprint = ours.get("fingerprint")
        if not fingerprint:
            return self.drawn(geometry)
        kind = ours.get("kind")
        layer = kind if kind in _OF_THE_SLIDE else layer_name(attributes)
        return self._once("area", str(fingerprint), str(layer), str(value))

    def drawn(self, geometry: BaseGeometry) -> str:
        """Name an object by its outline alone: the same until somebody moves it.

        Not by its slide, which a layer that was drawn by hand may not know yet.
        """
        import shapely

        return self._once("drawn", shapely.to_wkb(geometry, hex=True, byte_order=1))

    def _once(self, *key: str) -> str:
        before = self._given.get(key, 0)
        self._given[key] = before + 1
        return object_id(*key, *([before] if before else []))
