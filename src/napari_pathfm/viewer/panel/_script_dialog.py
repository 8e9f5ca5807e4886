"""The script of what was done, as it grows: to read, to copy, to save."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtGui import QFontDatabase
from qtpy.QtWidgets import (
    QApplication,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
)

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.panel._forms import hint, set_hint

if TYPE_CHECKING:
    from qtpy.QtGui import QShowEvent
    from qtpy.QtWidgets import QWidget

    from napari_pathfm.viewer.session import Session

_SAYS = (
    "Every action behind what is shown now, as Python that runs without a window. What "
    "was replaced or taken back is not in it."
)
_EMPTY = "Nothing to write down yet: open a slide."
# Many layers change in one go; the text follows after the last of them.
_SETTLE_MS = 200


class ScriptDialog(QDialog):
    """A view of the session's `Script`, beside the window.

    Parameters
    ----------
    session : Session
    parent : QWidget or None
        In front of whose window it stays.
    """

    def __init__(self, session: Session, parent: QWidget | None) -> None:
        super().__init__(parent)
        self._session = session
        self.setWindowTitle("Script of this session")
        self.resize(760, 640)
        self.text = QPlainTextEdit()
        self.text.setReadOnly(True)
        self.text.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.text.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.text.setPlaceholderText(_EMPTY)
        self.copy = QPushButton("Copy")
        self.save = QPushButton("Save as…")
        self.said = hint()
        says = hint(_SAYS)
        row = QHBoxLayout()
        row.addWidget(self.said)
        row.addStretch(1)
        row.addWidget(self.copy)
        row.addWidget(self.save)
        layout = QVBoxLayout(self)
        layout.addWidget(says)
        layout.addWidget(self.text, 1)
        layout.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SETTLE_MS)
        self._timer.timeout.connect(self.refresh)
        self.copy.clicked.connect(self._on_copy)
        self.save.clicked.connect(self._on_save)
        session.script.changed.connect(self._on_changed)
        self.refresh()

    def refresh(self) -> None:
        """Show the script as it is; who has scrolled stays where that was."""
        script = self._session.script.text()
        if script == self.text.toPlainText():
            return
        bar = self.text.verticalScrollBar()
        place = 0 if bar is None else bar.value()
        self.text.setPlainText(script)
        if bar is not None:
            bar.setValue(place)
        for button in (self.copy, self.save):
            button.setEnabled(bool(script))
        set_hint(self.said, "")

    def save_to(self, path: Path) -> None:
        """Write the script, and say how that went."""
        try:
            self._session.script.save(path)
        except PathfmError as error:
            self._session.report(error)
            set_hint(self.said, str(error))
            return
        set_hint(self.said, f"Saved to {path.name}.")

    def shut(self) -> None:
        """Hear no more of the session."""
        self._timer.stop()
        self._session.script.changed.disconnect(self._on_changed)
        self.close()

    def _on_changed(self) -> None:
        if self.isVisible():
            self._timer.start()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Catch up with what was done while nobody looked."""
        self.refresh()
        super().showEvent(event)

    def _on_copy(self) -> None:
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.text.toPlainText())
            set_hint(self.said, "Copied.")

    def _on_save(self) -> None:
        state = self._session.current
        name = "session" if state is None else state.slide.name
        chosen, _ = QFileDialog.getSaveFileName(
            self, "Save the script", f"{name}.py", "Python (*.py)"
        )
        if chosen:
            path = Path(chosen)
            self.save_to(path if path.suffix == ".py" else Path(f"{path}.py"))
