"""The brush: labels of a slide are painted on a layer, and heard of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer._metadata import entry
from napari_pathfm.viewer.session._class_layer import (
    color_classes,
    labels_layer,
    make_labels_layer,
)

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.utils.events import Event

    from napari_pathfm.slides import TileGrid
    from napari_pathfm.viewer.session._class_list import ClassList
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


class Brush:
    """Paints a slide's labels, by napari's own tools, undo included.

    Parameters
    ----------
    session : Session
        Whose viewer and slides.
    classes : ClassList
        What can be painted.
    """

    #: Labels of a slide are others now.
    painted = Signal(object)
    #: The brush was taken in hand or put down.
    changed = Signal()

    def __init__(self, session: Session, classes: ClassList) -> None:
        self._session = session
        self._classes = classes
        self._watched: dict[Labels, SlideState] = {}
        self._seen: dict[Labels, bytes] = {}
        self._waiting: set[Labels] = set()
        classes.changed.connect(self._on_classes)
        classes.current_changed.connect(self._on_current)
        classes.removed.connect(self._on_class_removed)
        session.viewer.layers.events.removed.connect(self._on_layer_removed)
        session.viewer.layers.selection.events.active.connect(self._on_active)

    def close(self) -> None:
        """Let go of the viewer; layers stay."""
        layers = self._session.viewer.layers
        layers.events.removed.disconnect(self._on_layer_removed)
        layers.selection.events.active.disconnect(self._on_active)
        for layer in list(self._watched):
            self._leave(layer)

    def layer(self, state: SlideState) -> Labels | None:
        """Give a slide's layer to paint on, or None while there is none."""
        layer = labels_layer(self._session.viewer, state)
        if layer is not None:
            self._watch(layer, state)
        return layer

    def make_layer(self, state: SlideState) -> Labels:
        """Give a slide's layer to paint on, made if there is none."""
        layer = self.layer(state)
        if layer is None:
            layer = make_labels_layer(self._session.viewer, state, self._classes.items)
            self._watch(layer, state)
        return layer

    def is_unsettled(self, layer: Labels) -> bool:
        """Whether a layer may have been painted on, and nobody has looked yet."""
        return layer in self._waiting

    @property
    def in_hand(self) -> bool:
        """Whether a stroke on the canvas would paint."""
        active = self._session.viewer.layers.selection.active
        return active in self._watched and active.mode == "paint"

    @property
    def any_painted(self) -> bool:
        """Whether any slide has labels."""
        return any(np.any(layer.data) for layer in self._watched)

    def take(self, state: SlideState) -> None:
        """Take it in hand, over a slide."""
        layer = self.make_layer(state)
        self._session.viewer.layers.selection.active = layer
        layer.selected_label = self._classes.current + 1
        layer.mode = "paint"
        self.changed.emit()

    def put_down(self, state: SlideState) -> None:
        """Put it down: dragging moves the slide again."""
        layer = self.layer(state)
        if layer is not None:
            layer.mode = "pan_zoom"
        self._session.viewer.layers.selection.active = state.layer
        self.changed.emit()

    def fill(self, state: SlideState, grid: TileGrid, row: int, index: int) -> None:
        """Paint a tile of a grid, all of it, with the class at `index`."""
        layer = self.make_layer(state)
        stride = (entry(layer) or {})["stride"]
        corner = grid.coords[row] / stride
        # The cells whose centres lie in the tile; it may be smaller than a cell.
        low = np.ceil(corner - 0.5).astype(int)
        high = np.ceil(corner + grid.tile_size / stride - 0.5).astype(int)
        high = np.minimum(np.maximum(high, low + 1), layer.data.shape[::-1])
        rows, columns = np.mgrid[low[1] : high[1], low[0] : high[0]]
        layer.data_setitem((rows.ravel(), columns.ravel()), index + 1)

    def _watch(self, layer: Labels, state: SlideState) -> None:
        if layer in self._watched:
            return
        self._watched[layer] = state
        self._seen[layer] = np.asarray(layer.data).tobytes()
        # A stroke as it goes on; undo, redo and other data; what the canvas has not
        # drawn yet. Some of it is told before the data are changed.
        for event in self._heard(layer):
            event.connect(self._on_painted)
        layer.events.selected_label.connect(self._on_label)
        layer.events.mode.connect(self._on_active)

    def _leave(self, layer: Labels) -> None:
        self._watched.pop(layer)
        self._seen.pop(layer)
        for event in self._heard(layer):
            event.disconnect(self._on_painted)
        layer.events.selected_label.disconnect(self._on_label)
        layer.events.mode.disconnect(self._on_active)

    @staticmethod
    def _heard(layer: Labels) -> tuple[Any, ...]:
        return layer.events.labels_update, layer.events.set_data, layer.events.paint

    def _on_painted(self, event: Event) -> None:
        layer = event.source
        if layer in self._watched and layer not in self._waiting:
            self._waiting.add(layer)
            self._session.runner.soon(lambda: self._look(layer))

    def _look(self, layer: Labels) -> None:
        self._waiting.discard(layer)
        if layer not in self._watched:
            return
        # The canvas asks for data anew for many reasons.
        now = np.asarray(layer.data).tobytes()
        if now != self._seen[layer]:
            self._seen[layer] = now
            self.painted.emit(self._watched[layer])

    def _on_label(self, event: Event) -> None:
        # Chosen in napari's own controls.
        self._classes.current = int(event.source.selected_label) - 1

    def _on_current(self) -> None:
        for layer in self._watched:
            layer.selected_label = self._classes.current + 1

    def _on_classes(self) -> None:
        for layer in self._watched:
            color_classes(layer, self._classes.items)

    def _on_class_removed(self, index: int) -> None:
        for layer in self._watched:
            data = np.array(layer.data)
            data[data == index + 1] = 0
            data[data > index + 1] -= 1
            layer.data = data

    def _on_active(self) -> None:
        self.changed.emit()

    def _on_layer_removed(self, event: Event) -> None:
        layer = event.value
        if layer in self._watched:
            state = self._watched[layer]
            self._leave(layer)
            self.painted.emit(state)
