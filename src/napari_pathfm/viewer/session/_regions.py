"""Drawn regions as prompts: layers of two names say what the map should be like.

Shapes or labels, as a person likes; whatever is drawn in a layer is one region, which
stands for the mean of its tiles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry, entry_for
from napari_pathfm.viewer.session._drawn_mask import drawn_mask
from napari_pathfm.viewer.session._prompt_layer import COLORS
from napari_pathfm.viewer.session._slide_layers import add_layer

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes
    from napari.utils.events import EmitterGroup
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.viewer.session._prompts import Role
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

#: Names of the layers, by what they mean.
NAMES: dict[Role, str] = {"like": "Like", "unlike": "Unlike"}
# Of an outline; seen with all of a slide of a few millimetres in view.
_EDGE_UM = 6.0
# What tells that a layer was drawn on: of shapes, of labels.
_EVENTS = ("data", "paint", "labels_update")


class Regions:
    """The regions drawn on the current slide."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._watched: set[Layer] = set()
        layers = session.viewer.layers.events
        layers.inserted.connect(self._on_layers)
        layers.removed.connect(self._on_layers)
        session.slide_changed.connect(self.read)
        self._on_layers()

    def close(self) -> None:
        """Let go of the viewer."""
        layers = self._session.viewer.layers.events
        layers.inserted.disconnect(self._on_layers)
        layers.removed.disconnect(self._on_layers)
        self._session.slide_changed.disconnect(self.read)
        for layer in self._watched:
            self._watch(layer, False)
        self._watched.clear()

    def draw(self, role: Role) -> None:
        """Take a layer of that meaning in hand; add one where there is none."""
        state = self._session.current
        if state is None or state.mpp is None:
            self._session.say("Enter the slide's pixel size first.")
            return
        layer = self._of(state, role) or self._added(state, role)
        self._session.viewer.layers.selection.active = layer
        self._session.say(
            "Draw around tissue that the map should "
            + ("be like." if role == "like" else "not be like.")
        )

    def read(self) -> None:
        """Take over what is drawn, and have the map follow."""
        state = self._session.current
        if state is None:
            return
        found: dict[Role, BaseGeometry] = {}
        for role in NAMES:
            layer = self._of(state, role)
            try:
                shape = None if layer is None else drawn_mask(layer, state)
            except PathfmError as error:
                self._session.say(str(error))
                continue
            if shape is not None:
                found[role] = shape
        if found != state.regions:
            state.regions = found
            self._session.say("")
            self.changed.emit()
            self._session.similarity.refresh()

    def _of(self, state: SlideState, role: Role) -> Layer | None:
        """Find the layer of a meaning that lies on a slide, the topmost."""
        from napari.layers import Labels, Shapes

        for layer in reversed(self._session.viewer.layers):
            own = (entry(layer) or {}).get("fingerprint", state.fingerprint)
            fits = layer.name == NAMES[role] and isinstance(layer, Labels | Shapes)
            if fits and own == state.fingerprint:
                return layer
        return None

    def _added(self, state: SlideState, role: Role) -> Shapes:
        from napari.layers import Shapes

        slide = state.layer
        layer = Shapes(
            ndim=2,
            name=NAMES[role],
            scale=slide.scale[-2:],
            units=slide.units[-2:],
            edge_color=COLORS[role],
            edge_width=_EDGE_UM / (state.mpp or 1.0),
            face_color="transparent",
            metadata=entry_for("mask", entry(slide) or {}),
        )
        add_layer(self._session.viewer, layer)
        layer.mode = "add_polygon_lasso"
        return layer

    def _on_layers(self) -> None:
        there = {
            layer
            for layer in self._session.viewer.layers
            if layer.name in NAMES.values() and hasattr(layer, "mode")
        }
        for layer in there - self._watched:
            self._watch(layer, True)
        for layer in self._watched - there:
            self._watch(layer, False)
        if there != self._watched:
            self._watched = there
            self.read()

    def _watch(self, layer: Layer, on: bool) -> None:
        events: EmitterGroup = layer.events
        for name in _EVENTS:
            if name in events:
                emitter = getattr(events, name)
                (emitter.connect if on else emitter.disconnect)(self.read)
