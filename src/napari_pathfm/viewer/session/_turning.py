"""Turning to one of several slides that lie on each other in one window."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.viewer._metadata import entry

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_pathfm.viewer.session._slide_state import SlideState

# A place that is turned to: its tile takes at least this share of the canvas.
_SHARE = 0.2


class Turning:
    """Shows one slide, and what lies on it, in place of the others.

    Layers of other slides are hidden, as by their eye in the layer list, and shown
    again when their slide is turned to; those that a person had hidden stay so.

    Parameters
    ----------
    viewer : ViewerModel
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._hidden: set[Layer] = set()

    def show(self, state: SlideState) -> None:
        """Have a slide in view, and be the one that is worked on."""
        layers = self._viewer.layers
        self._hidden &= set(layers)
        for layer in layers:
            own = (entry(layer) or {}).get("fingerprint")
            if own == state.fingerprint:
                if layer in self._hidden:
                    self._hidden.discard(layer)
                    layer.visible = True
            elif own and layer.visible:
                layer.visible = False
                self._hidden.add(layer)
        state.layer.visible = True
        layers.selection.active = state.layer

    def look(self, state: SlideState, x: float, y: float, side: float) -> None:
        """Move to a level-0 place, near enough to see a tile of that side there."""
        camera = self._viewer.scene.camera
        camera.center = (0.0, *state.world(x, y))
        world = side * (state.mpp or 1.0)
        near = _SHARE * min(self._viewer.canvas.size) / world
        camera.zoom = max(float(camera.zoom), float(near))
