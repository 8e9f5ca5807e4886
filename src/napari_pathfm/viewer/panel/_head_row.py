"""A slide-level head from a file: a button, and what it says of the slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pathfm.viewer.panel._progress_row import ProgressRow

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session

_FILTER = "Slide-level heads (*.safetensors)"


class HeadRow(QWidget):
    """A view of the session's `SlideHead`."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.button = QPushButton("Use a slide-level head…")
        self.button.setToolTip(
            "Shows what a head of `napari-pathfm evaluate slides --head` says of the "
            "whole slide, where it looks (1: as much as the mean tile), and what it "
            "would say of each tile alone. Embeds the slide first where that was not "
            "done."
        )
        self.progress = ProgressRow()
        self.text = QLabel()
        self.text.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.button, self.progress, self.text):
            layout.addWidget(widget)
        self.button.clicked.connect(self._on_use)
        self.progress.cancelled.connect(lambda: session.head.cancel())
        session.head.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known of the current slide."""
        head, state = self._session.head, self._session.current
        ready = state is not None and state.mpp is not None
        self.button.setEnabled(ready and not head.running)
        self.progress.show_job(head.job)
        own = state is not None and head.slide == state.fingerprint
        self.text.setVisible(own)
        if own:
            said = " · ".join(f"{n} {p:.0%}" for n, p in head.prediction.items())
            of = "one network" if head.networks == 1 else f"{head.networks} networks"
            self.text.setText(f"This slide: {said} ({of})")

    def shut(self) -> None:
        """Hear no more of the session."""
        self._session.head.changed.disconnect(self.refresh)

    def _on_use(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Use a slide-level head", "", _FILTER
        )
        if name:
            self._session.head.use(Path(name))
