"""Work on what a person draws: a layer of a name says where."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry, entry_for
from napari_pathfm.viewer.session._drawn_mask import drawn_mask
from napari_pathfm.viewer.session._slide_layers import add_layer

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Okabe and Ito's orange: neither a prompt nor the outline of what is synthetic.
_OUTLINE = "#E69F00"


class DrawnWork(ABC):
    """Something that is done where a layer of a certain name is drawn on.

    Attributes
    ----------
    name : str
        Of the layer; shapes or labels.
    mode : str
        What a fresh layer's mouse draws.
    invitation : str
        What is said where nothing is drawn.
    """

    name: ClassVar[str]
    mode: ClassVar[str]
    invitation: ClassVar[str]

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def layer(self) -> Labels | Shapes | None:
        """The layer that says where, if there is one."""
        from napari.layers import Labels, Shapes

        for layer in reversed(self._session.viewer.layers):
            if layer.name == self.name and isinstance(layer, Labels | Shapes):
                return layer
        return None

    def begin(self) -> None:
        """Work where it is drawn; give a layer to draw on where there is none."""
        session = self._session
        state = session.synthesis.ready()
        if state is None:
            return
        if state.mpp is None:
            session.say("Enter the slide's pixel size first.")
            return
        layer = self.layer or self.draw(state)
        try:
            shape = drawn_mask(layer, state)
        except PathfmError as error:
            session.say(str(error))
            return
        if shape is None:
            session.viewer.layers.selection.active = layer
            session.say(self.invitation)
        else:
            self.start(state, shape)

    def draw(self, state: SlideState) -> Shapes:
        """Add an empty layer to draw on."""
        from napari.layers import Shapes

        slide = state.layer
        layer = Shapes(
            ndim=2,
            name=self.name,
            scale=slide.scale[-2:],
            units=slide.units[-2:],
            edge_color=_OUTLINE,
            edge_width=2,
            face_color="transparent",
            metadata=entry_for("mask", entry(slide) or {}),
        )
        add_layer(self._session.viewer, layer)
        layer.mode = self.mode
        return layer

    @abstractmethod
    def start(self, state: SlideState, shape: BaseGeometry) -> None:
        """Do it."""
