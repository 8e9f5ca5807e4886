"""Prompts as a points layer, both ways: a point deleted is a prompt taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.viewer._metadata import entry, entry_for, layers_of
from napari_pathfm.viewer.session._prompts import Prompt
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Points
    from napari.utils.events import Event

    from napari_pathfm.viewer.session._slide_state import SlideState

# Okabe and Ito's blue and vermilion, told apart in every common colour blindness; the
# symbols differ too.
COLORS = {"like": "#0072B2", "unlike": "#D55E00"}
SYMBOLS = {"like": "disc", "unlike": "square"}

# The mark's size on the slide, and its limits on the screen in pixels.
_SIZE_UM = 40.0
_SCREEN_PX = (14, 18)


class PromptLayer:
    """The points layer of one slide's prompts.

    Parameters
    ----------
    viewer : ViewerModel
        Where to show it.
    state : SlideState
        Whose prompts. Those of a layer left by an earlier session are taken up.
    """

    def __init__(self, viewer: ViewerModel, state: SlideState) -> None:
        self._viewer = viewer
        self._state = state
        self._layer: Points | None = None
        self._drawing = False
        found = layers_of(viewer.layers, "prompts", state.fingerprint)
        if found:
            self._adopt(found[0])
            state.prompts.replace(self._read())
        state.prompts.changed.connect(self._draw)
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Let go of the layer; it stays where it is."""
        self._state.prompts.changed.disconnect(self._draw)
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        if self._layer is not None:
            self._layer.events.data.disconnect(self._on_edited)
            self._layer = None

    def _adopt(self, layer: Points) -> None:
        self._layer = layer
        layer.events.data.connect(self._on_edited)

    def _draw(self) -> None:
        prompts = self._state.prompts.items
        if not prompts:
            if self._layer is not None:
                remove_layers(self._viewer, "prompts", self._state.fingerprint)
            return
        self._drawing = True
        try:
            # Pixel centres, as the slide's layer has them, under the same scale.
            data = np.array([(p.y - 0.5, p.x - 0.5) for p in prompts])
            if self._layer is None:
                self._adopt(self._make(data))
            layer = self._layer
            assert layer is not None
            layer.data = data
            layer.features = {"role": [p.role for p in prompts]}
            layer.size = _SIZE_UM / (self._state.mpp or 1.0)
            layer.symbol = [SYMBOLS[p.role] for p in prompts]
            layer.face_color = [COLORS[p.role] for p in prompts]
            layer.selected_data = set()
        finally:
            self._drawing = False

    def _make(self, data: np.ndarray) -> Points:
        from napari.layers import Points

        slide = self._state.layer
        layer = Points(
            data,
            ndim=2,
            name="Prompts",
            scale=slide.scale[-2:],
            units=slide.units[-2:],
            border_color="white",
            border_width=0.05,
            canvas_size_limits=_SCREEN_PX,
            metadata=entry_for("prompts", entry(slide) or {}),
        )
        add_layer(self._viewer, layer)
        return layer

    def _read(self) -> list[Prompt]:
        assert self._layer is not None
        roles = self._layer.features.get("role")
        count = len(self._layer.data)
        known = list(roles) if roles is not None else [None] * count
        return [
            Prompt(
                float(column) + 0.5,
                float(row) + 0.5,
                "unlike" if role == "unlike" else "like",
            )
            for (row, column), role in zip(self._layer.data, known, strict=True)
        ]

    def _on_edited(self, event: Event) -> None:
        # napari announces every change before it is made, too.
        if not self._drawing and str(event.action) in ("added", "changed", "removed"):
            self._state.prompts.replace(self._read())

    def _on_removed(self, event: Event) -> None:
        if event.value is self._layer and self._layer is not None:
            self._layer.events.data.disconnect(self._on_edited)
            self._layer = None
            self._state.prompts.clear()
