"""Synthetic beside real: side by side, in turns, or the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer._metadata import entry, entry_for, layers_of
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_difference
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from napari_pathfm.synthesis import PlacedImages
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Of a layer's name on the canvas: napari's own size, the least that can be read, and
# pixels that a letter takes, on average, per point.
_FONT_PT = 10.0
_LEAST_PT = 6.0
_WIDTH_PER_PT = 0.95


class Compare:
    """Ways to look at the latest synthetic layer of the current slide."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._placing = False
        events = session.viewer.layers.events
        events.inserted.connect(self._place)
        events.removed.connect(self._place)

    def close(self) -> None:
        """Let go of the viewer."""
        events = self._session.viewer.layers.events
        events.inserted.disconnect(self._place)
        events.removed.disconnect(self._place)

    @property
    def layer(self) -> Layer | None:
        """The topmost synthetic layer of the current slide, else its virtual slide."""
        state, viewer = self._session.current, self._session.viewer
        if state is None:
            return None
        for kind in ("synthetic", "virtual"):
            found = layers_of(viewer.layers, kind, state.fingerprint)
            if found:
                return found[-1]
        return None

    @property
    def side_by_side(self) -> bool:
        """Whether napari shows both in a grid, with one camera."""
        return bool(self._session.viewer.canvas.grid.enabled)

    def blink(self) -> None:
        """Hide the synthetic layer, or show it again."""
        layer = self.layer
        if layer is None:
            self._session.say("Generate something first: there is nothing to compare.")
        else:
            layer.visible = not layer.visible
        self.changed.emit()

    def toggle_side_by_side(self) -> None:
        """Show the synthetic layer in a cell of its own, beside all others; or undo it.

        Both cells have the same camera.
        """
        grid, layer = self._session.viewer.canvas.grid, self.layer
        if grid.enabled:
            grid.enabled = False
            if layer is not None:
                layer.name_overlay.font_size = _FONT_PT
        elif layer is None:
            self._session.say("Generate something first: there is nothing to compare.")
        else:
            layer.visible = True
            grid.shape = (1, 2)
            grid.enabled = True
            self._place()
            # Half the canvas is not much: a name that is longer is cut off there.
            width = self._session.viewer.canvas.size[1] / 2
            fits = width / (len(layer.name) * _WIDTH_PER_PT)
            layer.name_overlay.font_size = min(_FONT_PT, max(fits, _LEAST_PT))
        self.changed.emit()

    def _place(self) -> None:
        """Keep the synthetic layer alone in its cell, whatever comes and goes."""
        layer, viewer = self.layer, self._session.viewer
        if not self.side_by_side or layer is None or self._placing:
            return
        self._placing = True
        try:
            # A cell is filled with layers from below, as many as the stride.
            last = len(viewer.layers) - 1
            if viewer.layers.index(layer) != last:
                viewer.layers.move(viewer.layers.index(layer), last + 1)
            viewer.canvas.grid.stride = max(1, last)
        finally:
            self._placing = False

    def difference(self) -> None:
        """Lay how much the colours differ over the place, one map an image.

        A worker computes them.
        """
        session, state = self._session, self._session.current
        result = session.synthesis.result
        if state is None or result is None:
            session.say("Generate something first: there is nothing to compare.")
            return
        if result.slide_fingerprint != state.fingerprint:
            session.say("The latest synthetic tissue is of another slide.")
            return

        def work(job: Job) -> tuple[Any, float]:
            from napari_pathfm.synthesis import difference

            apart = difference(result.source, result.pixels)
            # Most differ by far less than black from white.
            return apart, max(float(np.quantile(apart, 0.99)), 1.0)

        def ended(outcome: Outcome) -> None:
            if outcome.state == "done" and state.layer in session.viewer.layers:
                self._show_difference(state, result, *outcome.value)

        session.runner.start(work, Job("Comparing"), ended)

    def _show_difference(
        self, state: SlideState, result: PlacedImages, apart: Any, high: float
    ) -> None:
        from napari.layers import Image

        _, keywords, _ = result.to_layer()
        viewer = self._session.viewer
        remove_layers(viewer, "difference", state.fingerprint)
        layer = Image(
            apart,
            name=result.title.replace("Synthetic", "Difference", 1),
            colormap="magma",
            metadata=entry_for(
                "difference",
                entry(state.layer) or {},
                synthetic=True,
                provenance=[image.provenance.to_dict() for image in result.images],
            ),
            **{key: keywords[key] for key in ("scale", "translate", "units")},
        )
        layer.contrast_limits_range = (0.0, 255.0)
        layer.contrast_limits = (0.0, high)
        add_layer(viewer, layer)
        record_difference(self._session, result, layer, apart)
        self._session.runner.soon(lambda: _decorate(layer))


def _decorate(layer: Image) -> None:
    layer.colorbar.visible = True
    layer.name_overlay.visible = True
