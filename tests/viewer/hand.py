"""Use the window as a person does: mouse and keys at places on the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

if TYPE_CHECKING:
    from napari_pathfm.viewer.panel import ModelsPanel

LEFT = Qt.MouseButton.LeftButton
NONE = Qt.KeyboardModifier.NoModifier
SHIFT = Qt.KeyboardModifier.ShiftModifier


class Hand:
    def __init__(self, viewer: Any, panel: ModelsPanel, qtbot: Any) -> None:
        self.viewer = viewer
        self.panel = panel
        self.session = panel.session
        self.qtbot = qtbot
        self.settle()

    @property
    def canvas(self):
        return self.viewer.window._qt_viewer.canvas.native

    @property
    def prompts(self):
        return self.session.current.prompts.items

    def layer(self, kind: str):
        from napari_pathfm.viewer._metadata import layers_of

        found = layers_of(self.viewer.layers, kind)
        return found[0] if found else None

    def settle(self) -> None:
        for _ in range(3):
            QApplication.processEvents()
        self.qtbot.wait(20)

    def to_canvas(self, x: float, y: float) -> tuple[float, float]:
        """Canvas pixels (across, down) of a level-0 place; fractions kept."""
        world = np.array(self.session.current.world(x, y))
        camera = self.viewer.scene.camera
        offset = (world - np.array(camera.center[-2:])) * camera.zoom
        height, width = self.viewer.canvas.size
        return width / 2 + offset[1], height / 2 + offset[0]

    def point(self, x: float, y: float) -> QPoint:
        across, down = self.to_canvas(x, y)
        return QPoint(round(across), round(down))

    def click(self, x: float, y: float, modifier=NONE) -> None:
        QTest.mouseClick(self.canvas, LEFT, modifier, self.point(x, y))
        self.settle()

    def double_click(self, x: float, y: float) -> None:
        place = self.point(x, y)
        QTest.mouseClick(self.canvas, LEFT, NONE, place)
        QTest.mouseDClick(self.canvas, LEFT, NONE, place)
        QTest.mouseRelease(self.canvas, LEFT, NONE, place)
        self.settle()

    def move(self, x: float, y: float) -> None:
        """Move over the canvas with no button down, from outside in."""
        QApplication.sendEvent(self.canvas, QEvent(QEvent.Type.Enter))
        self.viewer.mouse_over_canvas = True
        self._mouse(QEvent.Type.MouseMove, self.point(x, y), Qt.MouseButton.NoButton)
        self.settle()

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        first, last = self.point(*start), self.point(*end)
        QTest.mousePress(self.canvas, LEFT, NONE, first)
        for share in (0.25, 0.5, 0.75, 1.0):
            self._mouse(QEvent.Type.MouseMove, first + (last - first) * share, LEFT)
        QTest.mouseRelease(self.canvas, LEFT, NONE, last)
        self.settle()

    def press(self, button) -> None:
        QTest.mouseClick(button, LEFT)
        self.settle()

    def key(self, key) -> None:
        QTest.keyClick(self.canvas, key)
        self.settle()

    def until(self, condition, timeout_s: float = 30) -> None:
        self.qtbot.waitUntil(condition, timeout=int(timeout_s * 1000))

    def until_heatmap(self) -> None:
        similarity = self.session.similarity
        self.until(lambda: similarity.job is not None and not similarity.job.running)
        self.until(lambda: similarity.layer is not None)
        self.until(lambda: similarity.layer.colorbar.visible)
        self.settle()

    def until_generated(self) -> None:
        synthesis = self.session.synthesis
        self.until(lambda: synthesis.job is not None and not synthesis.job.running)
        self.until(lambda: self.layer("preview") is None)
        layer = self.layer("synthetic")
        self.until(lambda: layer is None or layer.name_overlay.visible)
        self.settle()

    def picture(self) -> np.ndarray:
        """What the canvas shows, one pixel of the picture for one of the screen."""
        self.settle()
        return self.viewer.screenshot(canvas_only=True, flash=False)[..., :3]

    def _mouse(self, kind, place, button) -> None:
        local = QPointF(place)
        event = QMouseEvent(
            kind,
            local,
            QPointF(self.canvas.mapToGlobal(QPoint(place))),
            Qt.MouseButton.NoButton,
            button,
            NONE,
        )
        QApplication.sendEvent(self.canvas, event)
