"""A mask that is drawn becomes a repair, a rectangle a twin or a larger field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.viewer.session._drawn_work import DrawnWork

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator
    from napari_pathfm.synthesis import Extension, Repair, Twin
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


class Twins(DrawnWork):
    """Twins of regions of the current slide, where the layer "Twin" is drawn on."""

    name = "Twin"
    mode = "add_rectangle"
    invitation = "Draw a rectangle around the region, then press Twin again."

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Make the bounds of what is drawn once more."""
        models, slide = self._session.models, state.slide
        left, top, right, bottom = shape.bounds
        box = (left, top, right - left, bottom - top)

        def make(generator: Generator, encoder: Encoder, **settings: Any) -> Twin:
            return models.twin(slide, box, generator, encoder, **settings)

        self._session.synthesis.run("Making a twin", make, state, _middle(shape))


class Extensions(DrawnWork):
    """Fields of the current slide carried on, where the layer "Extend" is drawn on."""

    name = "Extend"
    mode = "add_rectangle"
    invitation = "Draw a rectangle around the field to keep, then press Extend again."

    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Carry the bounds of what is drawn on by a tile on every side."""
        models, slide = self._session.models, state.slide
        left, top, right, bottom = shape.bounds
        box = (left, top, right - left, bottom - top)

        def make(generator: Generator, encoder: Encoder, **settings: Any) -> Extension:
            return models.extend(slide, box, generator, encoder, **settings)

        self._session.synthesis.run("Extending", make, state, _middle(shape))


def _middle(shape: BaseGeometry) -> tuple[float, float]:
    point = shape.representative_point()
    return float(point.x), float(point.y)
