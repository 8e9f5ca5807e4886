"""The overview on the canvas: a picture of the slide, and a frame that can be moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPen
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QWidget

if TYPE_CHECKING:
    from qtpy.QtCore import QObject
    from qtpy.QtGui import QMouseEvent, QPaintEvent

    from napari_pathfm.viewer.session import Overview

# Longest side on screen, at most a third of the canvas's shorter one; distance from the
# canvas's corner. Bottom left is what napari leaves free: its own scale bar, colour bar
# and layer names stand elsewhere.
_SIDE, _SHARE, _MARGIN = 190, 1 / 3, 10

# Dark blue on a white rim: seen on tissue, on glass, and on napari's black.
_FRAME, _RIM = QColor("#0072B2"), QColor(255, 255, 255, 200)
_BORDER = QColor(128, 128, 128)

# A frame smaller than this on screen is drawn as a cross-hair of this size.
_LEAST = 7.0


class Minimap(QWidget):
    """A view over an `Overview`. `place_on` puts it on napari's canvas.

    A click centres the canvas there; dragging goes on doing so. It takes no keys.

    Parameters
    ----------
    overview : Overview
        What is shown and moved.
    """

    def __init__(self, overview: Overview) -> None:
        super().__init__()
        self._overview = overview
        self._image: QImage | None = None
        self._wanted = True
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self.setToolTip("The whole slide. Click or drag to move the view.")
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.hide()
        overview.slide_changed.connect(self.refresh)
        overview.view_changed.connect(self._on_view)

    @property
    def wanted(self) -> bool:
        """Whether it is shown while a slide is open."""
        return self._wanted

    @wanted.setter
    def wanted(self, wanted: bool) -> None:
        self._wanted = wanted
        self.refresh()

    def place_on(self, window: QWidget | None) -> bool:
        """Move onto the canvas in a window; False where there is none.

        The canvas is found through Qt, as the one OpenGL widget of napari's window.
        """
        canvas: Any = window and window.findChild(QOpenGLWidget)
        if canvas is None:
            return False
        if self.parent() is not canvas:
            self.setParent(canvas)
            canvas.installEventFilter(self)
        self.refresh()
        return True

    def shut(self) -> None:
        """Leave the canvas for good."""
        self._overview.slide_changed.disconnect(self.refresh, missing_ok=True)
        self._overview.view_changed.disconnect(self._on_view, missing_ok=True)
        # The canvas may be gone already, and this widget with it.
        if isalive(self):
            self.hide()
            self.deleteLater()

    def refresh(self) -> None:
        """Show the session's slide, or nothing."""
        if not isalive(self):
            return
        picture = self._overview.picture if self._wanted else None
        if picture is None or self.parentWidget() is None:
            self._image = None
            self.hide()
            return
        height, width = picture.shape[:2]
        # The image does not own the bytes it is given: a copy does.
        self._image = QImage(
            picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
        ).copy()
        self._settle()
        self.show()
        self.raise_()
        self.update()

    def sizeHint(self) -> QSize:
        """Give the slide's shape, no larger than fits the canvas's corner."""
        canvas, size = self.parentWidget(), self._overview.size
        if canvas is None or size is None:
            return QSize(0, 0)
        most = min(_SIDE, _SHARE * min(canvas.width(), canvas.height()))
        scale = most / max(size)
        return QSize(*(max(24, round(side * scale)) for side in size))

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Stay in the corner of a canvas that changes its size."""
        if event is not None and event.type() == QEvent.Type.Resize:
            self._settle()
        return False

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Centre the view where the mouse is pressed."""
        self._follow(event)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Go on while it is dragged."""
        if event is not None and event.buttons() & Qt.MouseButton.LeftButton:
            self._follow(event)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the slide and the frame."""
        size = self._overview.size
        if self._image is None or size is None:
            return
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(QRectF(self.rect()), self._image)
        frame = self.frame()
        if frame is not None:
            for colour, width in ((_RIM, 4.0), (_FRAME, 2.0)):
                painter.setPen(QPen(colour, width))
                painter.drawRect(frame)
        painter.setPen(QPen(_BORDER, 1.0))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def frame(self) -> QRectF | None:
        """Where the view's frame is drawn, in pixels of this widget."""
        view, size = self._overview.view, self._overview.size
        if view is None or size is None:
            return None
        scale = self.width() / size[0], self.height() / size[1]
        frame = QRectF(
            view.x * scale[0],
            view.y * scale[1],
            view.width * scale[0],
            view.height * scale[1],
        )
        if frame.width() < _LEAST:
            centre = frame.center()
            frame.setSize(frame.size().expandedTo(QRectF(0, 0, _LEAST, _LEAST).size()))
            frame.moveCenter(centre)
        # A view that reaches beyond the slide is framed as far as there is picture.
        inside = QRectF(self.rect()).adjusted(1.5, 1.5, -1.5, -1.5)
        return frame.intersected(inside)

    def _on_view(self) -> None:
        if isalive(self):
            self.update()

    def _follow(self, event: QMouseEvent | None) -> None:
        size = self._overview.size
        if event is None or size is None:
            return
        place: QPointF = event.position()
        self._overview.centre_on(
            place.x() * size[0] / self.width(), place.y() * size[1] / self.height()
        )
        # The canvas below would take what is let through for a pan.
        event.accept()

    def _settle(self) -> None:
        canvas = self.parentWidget()
        if canvas is None:
            return
        size = self.sizeHint()
        self.setGeometry(
            _MARGIN,
            canvas.height() - size.height() - _MARGIN,
            size.width(),
            size.height(),
        )
