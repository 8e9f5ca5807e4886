"""A mask that is drawn becomes a repair, a rectangle a twin or a larger field."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from napari_pathfm.viewer.session._drawn_work import DrawnWork
from napari_pathfm.viewer.session._request import Request

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.viewer.session._request import Verb
    from napari_pathfm.viewer.session._slide_state import SlideState


class Repairs(DrawnWork):
    """Repairs of the current slide, where the layer "Repair" is drawn on."""

    name = "Repair"
    mode = "add_polygon_lasso"
    invitation = "Draw around what is to go, then press Repair again."

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Make what is drawn on anew from its surroundings."""
        request = Request("repair", (shape,))
        self._session.synthesis.run("Repairing", request, state, _middle(shape))


class _Boxes(DrawnWork):
    """Work on the rectangle that is drawn.

    Attributes
    ----------
    title : str
        What is being done.
    verb : str
        By which function of `synthesis`.
    """

    mode = "add_rectangle"
    title: ClassVar[str]
    verb: ClassVar[Verb]

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Work on the bounds of what is drawn."""
        left, top, right, bottom = shape.bounds
        request = Request(self.verb, ((left, top, right - left, bottom - top),))
        self._session.synthesis.run(self.title, request, state, _middle(shape))


class Twins(_Boxes):
    """Twins of regions of the current slide, where the layer "Twin" is drawn on."""

    name = "Twin"
    title = "Making a twin"
    verb = "twin"
    invitation = "Draw a rectangle around the region, then press Twin again."


class Extensions(_Boxes):
    """Fields of the current slide carried on, where the layer "Extend" is drawn on."""

    name = "Extend"
    title = "Extending"
    verb = "extend"
    invitation = "Draw a rectangle around the field to keep, then press Extend again."


def _middle(shape: BaseGeometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
