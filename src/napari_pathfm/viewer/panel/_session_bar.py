"""Sessions: opened, saved, kept while they go on, and offered once after a crash."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._canvas_tool import REDO_KEY, UNDO_KEY
from napari_pathfm.viewer._notices import notify
from napari_pathfm.viewer.panel._script_dialog import ScriptDialog
from napari_pathfm.viewer.session import SUFFIX, Autosave

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Recovery, Session

_FILTER = f"Sessions (*{SUFFIX})"
# Kept this often, and for at most this share of the time.
_EVERY_S = 20.0
_SHARE = 0.05
_TOLD = 5


class SessionBar(QWidget):
    """Three buttons; its `question` after a crash is for the top of the panel."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.autosave = Autosave(session)
        self._offer: Recovery | None = None
        self._next = 0.0
        self.question = _Question()
        self.question.restore.clicked.connect(self._on_restore)
        self.question.discard.clicked.connect(self._on_discard)
        self.open_button = QPushButton("Open session…")
        self.open_button.setToolTip(
            "Bring back slides, prompts, drawn objects, synthetic tissue and settings "
            "from a session file, beside what is open."
        )
        self.save_button = QPushButton("Save session…")
        self.save_button.setToolTip(
            "Write slides (by their place and fingerprint), prompts, drawn objects, "
            "synthetic tissue and settings to a file. Slides themselves and embeddings "
            "stay where they are."
        )
        self.open_button.clicked.connect(self._on_open)
        self.save_button.clicked.connect(self._on_save)
        self.script_button = QPushButton("Script…")
        self.script_button.setToolTip(
            "What was done, as Python that does it again without a window."
        )
        self.script: ScriptDialog | None = None
        self.script_button.clicked.connect(self.show_script)
        self.undo = QPushButton("Undo")
        self.redo = QPushButton("Redo")
        self.undo.clicked.connect(lambda: session.history.undo())
        self.redo.clicked.connect(lambda: session.history.redo())
        session.history.changed.connect(self._show_history)
        self._show_history()
        rows = QVBoxLayout(self)
        rows.setContentsMargins(6, 0, 8, 0)
        rows.setSpacing(6)
        for widgets in (
            (self.undo, self.redo, self.script_button),
            (self.open_button, self.save_button),
        ):
            row = QHBoxLayout()
            for widget in widgets:
                row.addWidget(widget)
            rows.addLayout(row)
        self._timer = QTimer(self)
        self._timer.setInterval(int(_EVERY_S * 1000))
        self._timer.timeout.connect(self.keep)
        self._timer.start()
        self._ask()
        self.refresh()

    def refresh(self) -> None:
        """Show whether there is anything to save."""
        for button in (self.save_button, self.script_button):
            button.setEnabled(self._session.current is not None)

    def show_script(self) -> None:
        """Show the script beside the window; it follows what is done."""
        if self.script is None:
            self.script = ScriptDialog(self._session, self.window())
        self.script.show()
        self.script.raise_()

    def keep(self) -> None:
        """Keep the session, unless that took long not long ago."""
        started = time.monotonic()
        if started < self._next:
            return
        self.autosave.save()
        took = time.monotonic() - started
        self._next = started + took / _SHARE

    def shut(self) -> None:
        """End as it should: there is nothing to offer next time."""
        self._timer.stop()
        if self.script is not None:
            self.script.shut()
        self.autosave.close()

    def save_to(self, path: Path) -> None:
        """Save, and say how it went."""
        if not path.name.endswith(SUFFIX):
            path = path.with_name(path.name.removesuffix(".json") + SUFFIX)
            # The dialog has asked about another name.
            if path.exists():
                self._session.report(f"{path} exists already: choose it, or another.")
                return
        try:
            told = self._session.save(path)
        except PathfmError as error:
            self._session.report(error)
            return
        self._tell(told)
        self._session.say(f"Saved to {path.name}.")

    def open_from(self, path: Path, said: str = "") -> bool:
        """Restore, and say how it went; False where the file is no session."""
        try:
            told = self._session.restore(path)
        except PathfmError as error:
            self._session.report(error)
            return False
        self._tell(told)
        if not told:
            self._session.say(said or f"Opened {path.name}.")
        return True

    def _show_history(self) -> None:
        history = self._session.history
        for button, what, verb, key in (
            (self.undo, history.undoes, "Take back", UNDO_KEY),
            (self.redo, history.redoes, "Do again", REDO_KEY),
        ):
            button.setEnabled(bool(what))
            button.setToolTip(f"{verb}: {what or 'nothing'} ({key})")

    def _tell(self, lines: list[str]) -> None:
        for line in lines[:_TOLD]:
            notify("warning", line)
        if (more := len(lines) - _TOLD) > 0:
            notify("warning", f"{more} more lines of the session are not shown.")
        if lines:
            self._session.say(lines[0])

    def _ask(self) -> None:
        self._offer = self.autosave.recovery()
        self.question.setVisible(self._offer is not None)
        if self._offer is not None:
            self.question.text.setText(
                "napari ended unexpectedly. Its session was kept, as it was at "
                f"{self._offer.when}."
            )

    def _on_restore(self) -> None:
        offer, self._offer = self._offer, None
        self.question.hide()
        # What was offered goes once the running session is kept in its place.
        if offer is None or not self.open_from(offer.path, "The session is back."):
            return
        if self.autosave.save():
            self.autosave.discard(offer)

    def _on_discard(self) -> None:
        offer, self._offer = self._offer, None
        self.question.hide()
        if offer is not None:
            self.autosave.discard(offer)

    def _on_open(self) -> None:
        name, _ = QFileDialog.getOpenFileName(
            self, "Open session", self._folder(), _FILTER
        )
        if name:
            self.open_from(Path(name))

    def _on_save(self) -> None:
        state = self._session.current
        stem = "session" if state is None else state.slide.name
        name, _ = QFileDialog.getSaveFileName(
            self,
            "Save session",
            str(Path(self._folder()) / f"{stem}{SUFFIX}"),
            _FILTER,
        )
        if name:
            self.save_to(Path(name))

    def _folder(self) -> str:
        state = self._session.current
        return "" if state is None else str(Path(state.slide.path).parent)


class _Question(QFrame):
    """Asks once whether to go on where a crash ended it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.restore = QPushButton("Restore")
        self.discard = QPushButton("Discard")
        row = QHBoxLayout()
        row.addWidget(self.restore)
        row.addWidget(self.discard)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(row)
