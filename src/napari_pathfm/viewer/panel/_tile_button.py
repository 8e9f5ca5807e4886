"""A small picture of a tile that leads to its place."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QImage, QPainter, QPixmap
from qtpy.QtWidgets import QGridLayout, QToolButton, QWidget

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_ICON = QSize(52, 52)
# Room for a line of text below a picture, and its size; of a name instead of one.
_BELOW, _BELOW_PX, _NAME_PX = 15, 10, 9
_COLUMNS = 6


class TileButton(QToolButton):
    """A flat button with a tile on it.

    Parameters
    ----------
    pressed : callable
        What a click does.
    captioned : bool
        Whether there is room for a `setText` below the picture.
    """

    def __init__(
        self, pressed: Callable[[], object], *, captioned: bool = False
    ) -> None:
        super().__init__()
        self.setIconSize(_ICON)
        self.setAutoRaise(True)
        self.setFixedSize(_ICON + QSize(2, 2 + (_BELOW if captioned else 0)))
        if captioned:
            self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            font = self.font()
            font.setPixelSize(_BELOW_PX)
            self.setFont(font)
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(lambda: pressed())

    def show_name(self, name: str, says: str) -> None:
        """Show a name where there is no picture."""
        picture = QPixmap(_ICON)
        picture.fill(QColor(128, 128, 128, 60))
        painter = QPainter(picture)
        painter.setPen(self.palette().color(self.foregroundRole()))
        font = painter.font()
        font.setPixelSize(_NAME_PX)
        painter.setFont(font)
        flags = int(Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWrapAnywhere)
        painter.drawText(picture.rect().adjusted(2, 2, -2, -2), flags, name)
        painter.end()
        self.setIcon(QIcon(picture))
        self.setToolTip(says)
        self.setAccessibleName(says)

    def show_tile(self, pixels: NDArray[np.uint8], says: str) -> None:
        """Show a tile ``(h, w, 3)``, and say what and where it is."""
        height, width = pixels.shape[:2]
        image = QImage(
            pixels.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
        )
        # The image lives on the bytes; the pixmap has its own.
        self.setIcon(QIcon(QPixmap.fromImage(image)))
        self.setToolTip(says)
        self.setAccessibleName(says)


class TileGrid(QWidget):
    """Tile buttons in rows of six.

    Parameters
    ----------
    count : int
        How many there are at most.
    pressed : callable (index)
        What a click on one does.
    captioned : bool
        As for `TileButton`.
    """

    def __init__(
        self, count: int, pressed: Callable[[int], object], *, captioned: bool = False
    ) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        grid.setColumnStretch(_COLUMNS, 1)
        self.buttons = [
            TileButton(partial(pressed, index), captioned=captioned)
            for index in range(count)
        ]
        for index, button in enumerate(self.buttons):
            grid.addWidget(button, *divmod(index, _COLUMNS))

    def show_count(self, count: int) -> None:
        """Show the first of them; none at all takes no room."""
        self.setVisible(bool(count))
        for index, button in enumerate(self.buttons):
            button.setVisible(index < count)
