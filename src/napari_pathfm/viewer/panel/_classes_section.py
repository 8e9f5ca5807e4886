"""Classes: a list, a brush, a map that follows, and how far to trust it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QPushButton,
    QWidget,
)

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.panel._class_table import ClassTable
from napari_pathfm.viewer.panel._forms import (
    Combo,
    Section,
    add_row,
    form,
    hint,
    quietly,
    set_hint,
)
from napari_pathfm.viewer.panel._head_row import HeadRow
from napari_pathfm.viewer.panel._trust import trust_lines, trust_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.viewer.session import Session

_ACCEPT, _SKIP = "Alt+Y", "Alt+N"
_FILTER = "Few-shot classifiers (*.json)"


class ClassesSection(Section):
    """Name classes, paint a few strokes, see probabilities."""

    def __init__(self, session: Session) -> None:
        super().__init__("Classes")
        self._session = session
        classes = session.classes
        self.table = ClassTable(classes.list, self._try)
        self.paint = QPushButton("Paint labels on the slide")
        self.paint.setCheckable(True)
        self.paint.setToolTip(
            "While this is on, dragging paints the chosen class. napari's layer "
            "controls have the brush's size, the polygon and the eraser; Ctrl+Z undoes "
            "a stroke, and space moves the slide meanwhile."
        )
        self.keys = hint()
        self.shown = Combo()
        self.shown.addItem("Likeliest class", "likeliest")
        self.shown.addItem("Probability of the chosen class", "probability")
        self.trust = hint()
        self.next = QPushButton("Label next")
        self.next.setToolTip(
            "Goes to the tile that the classifier is least sure of and that is least "
            "like those labelled already."
        )
        self.accept = QPushButton("Label")
        self.skip = QPushButton("Skip")
        self.skip.setToolTip(f"Leave this tile, and go to the next ({_SKIP}).")
        self.guess = hint()
        self.save = QPushButton("Save classifier…")
        self.save.setToolTip("Keep it for other slides, with where it comes from.")
        self.load = QPushButton("Use a classifier…")
        self.load.setToolTip("Show what a saved classifier says of this slide.")

        self.body.addWidget(self.table)
        self.body.addWidget(self.paint)
        self.body.addWidget(self.keys)
        layout = form()
        add_row(
            layout,
            "Show",
            self.shown,
            "Probabilities are those of a linear classifier on the embeddings of this "
            "slide's tiles, fitted again after each stroke.",
        )
        self.body.addLayout(layout)
        self.body.addWidget(self.trust)
        self.body.addLayout(_row(self.next, self.accept, self.skip))
        self.body.addWidget(self.guess)
        self.body.addLayout(_row(self.save, self.load))
        self.head = HeadRow(session)
        self.body.addWidget(self.head)

        self.paint.toggled.connect(lambda on: self._try(lambda: classes.paint(on)))
        self.shown.currentIndexChanged.connect(self._on_shown)
        self.next.clicked.connect(classes.suggestion.next)
        self.accept.clicked.connect(classes.suggestion.accept)
        self.skip.clicked.connect(classes.suggestion.skip)
        self.save.clicked.connect(self._on_save)
        self.load.clicked.connect(self._on_load)
        self.skip.setShortcut(QKeySequence(_SKIP))
        classes.changed.connect(self.refresh)
        classes.suggestion.changed.connect(self.refresh_suggestion)

    def refresh(self) -> None:
        """Show the session's classes and what is known of them."""
        classes, state = self._session.classes, self._session.current
        ready = state is not None and state.mpp is not None
        painting = classes.brush.in_hand
        with quietly(self.paint, self.shown):
            self.paint.setChecked(painting)
            self.shown.setCurrentIndex(self.shown.findData(classes.shown))
        self.paint.setEnabled(ready)
        self.load.setEnabled(ready)
        self.head.refresh()
        set_hint(
            self.keys, "Drag: paint · Ctrl+Z: undo · space: move" if painting else ""
        )
        answer = classes.answer
        self.table.show_counts(None if answer is None else answer.tiles)
        self.save.setEnabled(answer is not None and answer.classifier is not None)
        self.shown.setEnabled(answer is not None and answer.maps is not None)
        set_hint(self.trust, trust_lines(len(classes.list), answer))
        self.trust.setToolTip(trust_table(answer))
        self.refresh_suggestion()

    def refresh_suggestion(self) -> None:
        """Show the tile that is offered."""
        suggestion, classes = self._session.classes.suggestion, self._session.classes
        offered = suggestion.row is not None
        self.next.setEnabled(suggestion.possible)
        self.accept.setVisible(offered)
        self.skip.setVisible(offered)
        if len(classes.list):
            name = classes.list.items[classes.list.current].name
            self.accept.setText(f"Label as {name}")
            # A button's text takes its key away.
            self.accept.setShortcut(QKeySequence(_ACCEPT))
            self.accept.setToolTip(
                f"Label the outlined tile as {name} and go to the next ({_ACCEPT}). "
                "Choose another class in the list first if it is one."
            )
        text = suggestion.text
        set_hint(self.guess, f"The outlined tile: {text}" if text else "")

    def shut(self) -> None:
        """Hear no more of the session."""
        self._session.classes.changed.disconnect(self.refresh)
        self._session.classes.suggestion.changed.disconnect(self.refresh_suggestion)
        self.table.shut()
        self.head.shut()

    def _on_shown(self) -> None:
        self._session.classes.shown = self.shown.currentData()

    def _on_save(self) -> None:
        state = self._session.current
        name, _ = QFileDialog.getSaveFileName(
            self,
            "Save classifier",
            "" if state is None else f"{state.slide.name}.classes.json",
            _FILTER,
        )
        if name:
            self._try(lambda: self._session.classes.save(Path(name)))

    def _on_load(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Use a classifier", "", _FILTER)
        if name:
            self._try(lambda: self._session.classes.load(Path(name)))

    def _try(self, call: Callable[[], object]) -> None:
        try:
            call()
        except PathfmError as error:
            self._session.report(error)


def _row(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setSpacing(6)
    for widget in widgets:
        row.addWidget(widget, 1)
    return row
