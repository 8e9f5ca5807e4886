"""The slide at a glance, and which part of it the canvas shows; no Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from psygnal import Signal

if TYPE_CHECKING:
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Longest side of the picture in pixels; a screen may show it at half that size.
_PICTURE_PX = 512


class Box(NamedTuple):
    """A rectangle in level-0 pixels, corner origin."""

    x: float
    y: float
    width: float
    height: float


class Overview:
    """A picture of the current slide and the rectangle that is on the canvas.

    Parameters
    ----------
    session : Session
        Whose slide and viewer.
    """

    #: The slide is another one.
    slide_changed = Signal()
    #: The canvas shows another part.
    view_changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pictures: dict[Image, NDArray[np.uint8]] = {}
        viewer = session.viewer
        camera = viewer.scene.camera
        camera.events.center.connect(self._on_view)
        camera.events.zoom.connect(self._on_view)
        viewer.canvas.events.size.connect(self._on_view)
        viewer.dims.events.ndisplay.connect(self._on_view)
        session.slide_changed.connect(self._on_slide)

    def close(self) -> None:
        """Let go of the viewer."""
        viewer = self._session.viewer
        camera = viewer.scene.camera
        camera.events.center.disconnect(self._on_view)
        camera.events.zoom.disconnect(self._on_view)
        viewer.canvas.events.size.disconnect(self._on_view)
        viewer.dims.events.ndisplay.disconnect(self._on_view)
        self._pictures.clear()

    @property
    def picture(self) -> NDArray[np.uint8] | None:
        """The slide, uint8 ``(h, w, 3)``, at most 512 px; None where there is none."""
        state = self._state
        if state is None:
            return None
        if state.layer not in self._pictures:
            # Only the open slides' pictures are kept.
            layers = self._session.viewer.layers
            self._pictures = {k: v for k, v in self._pictures.items() if k in layers}
            self._pictures[state.layer] = _shrink(np.asarray(state.layer.data[-1]))
        return self._pictures[state.layer]

    @property
    def size(self) -> tuple[int, int] | None:
        """Level-0 ``(width, height)`` of the slide."""
        state = self._state
        return None if state is None else state.slide.dimensions

    @property
    def view(self) -> Box | None:
        """What the canvas shows, in level-0 pixels; it may reach beyond the slide."""
        state = self._state
        viewer = self._session.viewer
        if state is None or viewer.dims.ndisplay != 2:
            return None
        camera = viewer.scene.camera
        row, column = camera.center[-2:]
        down, across = (side / (2 * camera.zoom) for side in viewer.canvas.size)
        left, top = state.level0((row - down, column - across))
        right, bottom = state.level0((row + down, column + across))
        return Box(left, top, right - left, bottom - top)

    def centre_on(self, x: float, y: float) -> None:
        """Move the canvas to a level-0 place; beyond the slide, to its border."""
        state = self._state
        if state is None:
            return
        width, height = state.slide.dimensions
        place = state.world(min(max(x, 0), width), min(max(y, 0), height))
        camera = self._session.viewer.scene.camera
        camera.center = (*camera.center[:-2], *place)

    @property
    def _state(self) -> SlideState | None:
        return self._session.current

    def _on_slide(self) -> None:
        self.slide_changed.emit()
        self.view_changed.emit()

    def _on_view(self) -> None:
        self.view_changed.emit()


def _shrink(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    picture.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.BOX)
    return np.asarray(picture)
