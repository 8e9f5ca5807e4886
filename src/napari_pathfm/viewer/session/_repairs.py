"""A mask that is drawn becomes a repair, a rectangle a twin or a larger field."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from napari_pathfm.viewer.session._drawn_work import DrawnWork

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator
    from napari_pathfm.synthesis import PlacedImages, Repair
    from napari_pathfm.viewer.session._slide_state import SlideState


class Repairs(DrawnWork):
    """Repairs of the current slide, where the layer "Repair" is drawn on."""

    name = "Repair"
    mode = "add_polygon_lasso"
    invitation = "Draw around what is to go, then press Repair again."

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Make what is drawn on anew from its surroundings."""
        models, slide = self._session.models, state.slide

        def make(generator: Generator, encoder: Encoder, **settings: Any) -> Repair:
            return models.repair(slide, shape, generator, encoder, **settings)

        self._session.synthesis.run("Repairing", make, state, _middle(shape))


class _Boxes(DrawnWork):
    """Work on the rectangle that is drawn.

    Attributes
    ----------
    title : str
        What is being done.
    """

    mode = "add_rectangle"
    title: ClassVar[str]

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Work on the bounds of what is drawn."""
        slide = state.slide
        left, top, right, bottom = shape.bounds
        box = (left, top, right - left, bottom - top)

        def make(
            generator: Generator, encoder: Encoder, **settings: Any
        ) -> PlacedImages:
            return self.make(slide, box, generator, encoder, **settings)

        self._session.synthesis.run(self.title, make, state, _middle(shape))

    @abstractmethod
    def make(self, *arguments: Any, **settings: Any) -> PlacedImages:
        """Do it, with slide, box, generator and encoder."""


class Twins(_Boxes):
    """Twins of regions of the current slide, where the layer "Twin" is drawn on."""

    name = "Twin"
    title = "Making a twin"
    invitation = "Draw a rectangle around the region, then press Twin again."

    def make(self, *arguments: Any, **settings: Any) -> PlacedImages:
        """Make the region once more."""
        return self._session.models.twin(*arguments, **settings)


class Extensions(_Boxes):
    """Fields of the current slide carried on, where the layer "Extend" is drawn on."""

    name = "Extend"
    title = "Extending"
    invitation = "Draw a rectangle around the field to keep, then press Extend again."

    def make(self, *arguments: Any, **settings: Any) -> PlacedImages:
        """Carry the field on by a tile on every side."""
        return self._session.models.extend(*arguments, **settings)


def _middle(shape: BaseGeometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
