"""Synthetic beside real: side by side, in turns, or the difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer._metadata import entry, entry_for, layers_of
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


class Compare:
    """Ways to look at the latest synthetic layer of the current slide."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session

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
        viewer, layer = self._session.viewer, self.layer
        grid = viewer.canvas.grid
        if grid.enabled:
            grid.enabled = False
        elif layer is None:
            self._session.say("Generate something first: there is nothing to compare.")
        else:
            # The grid fills a cell with layers from below, as many as its stride.
            last = len(viewer.layers) - 1
            viewer.layers.move(viewer.layers.index(layer), last + 1)
            grid.stride = max(1, last)
            grid.shape = (1, 2)
            grid.enabled = True
            layer.visible = True
        self.changed.emit()

    def difference(self) -> Image | None:
        """Lay how much the colours differ over the place, one map an image."""
        session, state = self._session, self._session.current
        result = session.synthesis.result
        if state is None or result is None:
            session.say("Generate something first: there is nothing to compare.")
            return None
        if result.slide_fingerprint != state.fingerprint:
            session.say("The latest synthetic tissue is of another slide.")
            return None
        return self._show_difference(state)

    def _show_difference(self, state: SlideState) -> Image:
        from napari.layers import Image

        from napari_pathfm.synthesis import difference

        result = self._session.synthesis.result
        assert result is not None
        pixels, keywords, _ = result.to_layer()
        viewer = self._session.viewer
        remove_layers(viewer, "difference", state.fingerprint)
        layer = Image(
            difference(result.source, pixels),
            name=result.title.replace("Synthetic", "Difference", 1),
            colormap="magma",
            contrast_limits=(0.0, 255.0),
            metadata=entry_for(
                "difference",
                entry(state.layer) or {},
                synthetic=True,
                provenance=[image.provenance.to_dict() for image in result.images],
            ),
            **{key: keywords[key] for key in ("scale", "translate", "units")},
        )
        # Most differ by far less than black from white.
        high = float(np.quantile(layer.data, 0.99))
        layer.contrast_limits = (0.0, max(high, 1.0))
        add_layer(viewer, layer)
        self._session.runner.soon(lambda: _decorate(layer))
        return layer


def _decorate(layer: Image) -> None:
    layer.colorbar.visible = True
    layer.name_overlay.visible = True
