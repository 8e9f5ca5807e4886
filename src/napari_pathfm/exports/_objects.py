"""QuPath objects, as they are read from GeoJSON and written to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.exports._features import (
    RGB,
    Feature,
    annotation_feature,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from shapely.geometry.base import BaseGeometry


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
    extra : dict of str to object
        Properties that this program does not know; they are written back.
    members : dict of str to object
        Likewise of the feature itself, a cell's ``nucleusGeometry`` among them.
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
    extra: dict[str, Any] = field(default_factory=dict)
    members: dict[str, Any] = field(default_factory=dict)

    def to_feature(self) -> Feature:
        """Return the feature that reads back as this object, less its place in a tree.

        Raises
        ------
        OutputError
            QuPath has no region for the geometry.
        """
        feature = annotation_feature(
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
        feature["properties"] = self.extra | feature["properties"]
        return self.members | feature


class QuPathObjects(list[QuPathObject]):
    """The objects of a file, with what stands beside them.

    Attributes
    ----------
    members : dict of str to object
        Of the collection, other than its features.
    notices : list of str
        What was repaired, a line each; empty for a sound file.
    """

    def __init__(self, objects: Iterable[QuPathObject] = ()) -> None:
        super().__init__(objects)
        self.members: dict[str, Any] = {}
        self.notices: list[str] = []
