"""Clicks on the canvas become prompts; G generates where the mouse points, B blinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from napari.components import ViewerModel

    from napari_pathfm.viewer.session import Session

KEY = "G"
BLINK_KEY = "B"
UNDO_KEY = "Ctrl+Z"
REDO_KEY = "Ctrl+Shift+Z"
UNLIKE_MODIFIER = "Shift"

# A hand that clicks is not still. Beyond this, in screen pixels, it drags.
_CLICK_PX = 4.0


class CanvasTool:
    """A tool on the canvas, active or not, whatever layer is selected.

    It works beside napari's own pan and zoom: a drag still pans. While a layer has a
    tool of its own in hand (painting, adding points) clicks belong to that one.

    Parameters
    ----------
    viewer : ViewerModel
        Whose canvas.
    session : Session
        What clicks and the key act on.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, session: Session) -> None:
        self._viewer = viewer
        self._session = session
        self._active = False
        self._double_click: list[Any] = []
        # Somebody else's binding is not ours to take, nor to give back.
        taken = {str(key) for key in viewer.keymap}
        own = {
            KEY: self._on_key,
            BLINK_KEY: self._on_blink,
            # A Labels layer in hand has its own, of strokes, and is asked first.
            UNDO_KEY: lambda _: session.history.undo(),
            REDO_KEY: lambda _: session.history.redo(),
        }
        self._bound = [key for key in own if key not in taken]
        for key in self._bound:
            viewer.bind_key(key, own[key])

    @property
    def active(self) -> bool:
        """Whether clicks become prompts."""
        return self._active

    @active.setter
    def active(self, active: bool) -> None:
        if active == self._active:
            return
        self._active = active
        viewer = self._viewer
        if active:
            viewer.mouse_drag_callbacks.append(self._on_press)
            # Two quick clicks are two clicks here, not napari's zoom.
            self._double_click = list(viewer.mouse_double_click_callbacks)
            viewer.mouse_double_click_callbacks.clear()
            viewer.mouse_double_click_callbacks.append(self._on_double_click)
            viewer.layers.selection.events.active.connect(self._show_cursor)
            layer = viewer.layers.selection.active
            if layer is not None and _in_hand(layer):
                layer.mode = "pan_zoom"
        else:
            viewer.mouse_drag_callbacks.remove(self._on_press)
            viewer.mouse_double_click_callbacks.remove(self._on_double_click)
            viewer.mouse_double_click_callbacks.extend(self._double_click)
            viewer.layers.selection.events.active.disconnect(self._show_cursor)
            self._double_click = []
        self._show_cursor()
        self.changed.emit()

    def close(self) -> None:
        """Give the canvas back as it was."""
        self.active = False
        for key in self._bound:
            self._viewer.bind_key(key, None)
        self._bound = []

    def _on_press(self, viewer: ViewerModel, event: Any) -> Iterator[None]:
        if event.button != 1 or {"Alt", "Control", "Meta"} & _names(event.modifiers):
            return
        active = viewer.layers.selection.active
        if viewer.dims.ndisplay != 2 or (active is not None and _in_hand(active)):
            return
        start, position = np.asarray(event.pos), tuple(event.position)
        unlike = UNLIKE_MODIFIER in _names(event.modifiers)
        dragged = False
        yield
        while event.type == "mouse_move":
            dragged |= bool(np.linalg.norm(np.asarray(event.pos) - start) > _CLICK_PX)
            yield
        if not dragged:
            self._session.prompt(position, "unlike" if unlike else "like")

    def _on_double_click(self, viewer: ViewerModel, event: Any) -> None:
        """Do nothing: Qt sends this in place of the second press."""

    def _on_key(self, viewer: ViewerModel) -> None:
        """Generate tissue under the mouse, or at the last click."""
        self._session.synthesis.generate_here()

    def _on_blink(self, viewer: ViewerModel) -> None:
        """Hide the synthetic layer, or show it again."""
        self._session.compare.blink()

    def _show_cursor(self) -> None:
        self._viewer.cursor.style = "cross" if self._active else "standard"


def _in_hand(layer: Any) -> bool:
    return str(getattr(layer, "mode", "pan_zoom")) != "pan_zoom"


def _names(modifiers: Any) -> set[str]:
    return {getattr(modifier, "name", str(modifier)) for modifier in modifiers}
