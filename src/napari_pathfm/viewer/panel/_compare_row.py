"""Buttons to look at synthetic tissue beside the real one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

from napari_pathfm.viewer._canvas_tool import BLINK_KEY

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session


class CompareRow(QWidget):
    """A view of the session's `Compare`; there where something synthetic is."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.beside = QPushButton("Side by side")
        self.beside.setCheckable(True)
        self.beside.setToolTip(
            "The synthetic layer in a cell of its own beside all others; one camera "
            "moves both. Press again to lay it over the slide."
        )
        self.blink = QPushButton(f"Blink ({BLINK_KEY})")
        self.blink.setToolTip(
            "Hides the synthetic layer, and shows it again: what jumps is what differs."
        )
        self.difference = QPushButton("Difference")
        self.difference.setToolTip(
            "Maps how much the colours of the latest synthetic tissue differ from the "
            "real ones in its place: 0 is the same, 255 is black against white."
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        for button in (self.beside, self.blink, self.difference):
            layout.addWidget(button)
        compare = session.compare
        self.beside.clicked.connect(lambda: compare.toggle_side_by_side())
        self.blink.clicked.connect(lambda: compare.blink())
        self.difference.clicked.connect(lambda: compare.difference())
        compare.changed.connect(self.refresh)
        session.synthesis.changed.connect(self.refresh)
        for event in self._events():
            event.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what can be done."""
        compare = self._session.compare
        there = compare.layer is not None
        self.setVisible(there or compare.side_by_side)
        self.beside.setChecked(compare.side_by_side)
        self.difference.setEnabled(self._session.synthesis.result is not None)

    def shut(self) -> None:
        """Hear no more of the session and the viewer."""
        self._session.compare.changed.disconnect(self.refresh)
        self._session.synthesis.changed.disconnect(self.refresh)
        for event in self._events():
            event.disconnect(self.refresh)

    def _events(self):
        layers = self._session.viewer.layers.events
        return layers.inserted, layers.removed
