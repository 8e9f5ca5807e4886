"""A small picture of a tile that leads to its place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QIcon, QImage, QPixmap
from qtpy.QtWidgets import QToolButton

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

_ICON = QSize(52, 52)


class TileButton(QToolButton):
    """A flat button with a tile on it.

    Parameters
    ----------
    pressed : callable
        What a click does.
    """

    def __init__(self, pressed: Callable[[], object]) -> None:
        super().__init__()
        self.setIconSize(_ICON)
        self.setAutoRaise(True)
        self.setFixedSize(_ICON + QSize(2, 2))
        self.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        self.clicked.connect(lambda: pressed())

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
