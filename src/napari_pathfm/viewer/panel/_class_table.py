"""The list of classes: colour, name, how many tiles are labelled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHBoxLayout,
    QHeaderView,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.viewer.panel._forms import quietly

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.heatmaps import LabelledTiles
    from napari_pathfm.viewer.session import ClassList

_ROWS = 4
_SWATCH = QSize(14, 14)


class ClassTable(QWidget):
    """A view of a `ClassList`.

    Parameters
    ----------
    classes : ClassList
    attempt : callable
        Calls what it is given, and shows what a person may meet.
    """

    def __init__(
        self, classes: ClassList, attempt: Callable[[Callable[[], object]], None]
    ) -> None:
        super().__init__()
        self._classes = classes
        self._try = attempt
        self._counts: dict[str, int] = {}
        self.table = QTableWidget(0, 2)
        self.table.setHorizontalHeaderLabels(["Class", "Tiles"])
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setIconSize(_SWATCH)
        self.table.setShowGrid(False)
        self.table.setToolTip(
            "The class in hand is chosen here. Double-click a name to change it. Tiles "
            "counts those that are labelled on this slide."
        )
        vertical, header = self.table.verticalHeader(), self.table.horizontalHeader()
        if vertical is not None and header is not None:
            header.setDefaultAlignment(
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            )
            vertical.hide()
            vertical.setDefaultSectionSize(24)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
            height = header.sizeHint().height() + _ROWS * 24 + 4
            self.table.setFixedHeight(height)
        self.add = QPushButton("Add")
        self.color = QPushButton("Colour…")
        self.remove = QPushButton("Remove")
        self.remove.setToolTip("Take the class away, with its labels.")
        row = QHBoxLayout()
        row.setSpacing(6)
        for button in (self.add, self.color, self.remove):
            row.addWidget(button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.table)
        layout.addLayout(row)
        self.table.itemSelectionChanged.connect(self._on_selected)
        self.table.itemChanged.connect(self._on_renamed)
        self.add.clicked.connect(lambda: attempt(classes.add))
        self.color.clicked.connect(self._on_color)
        self.remove.clicked.connect(lambda: classes.remove(classes.current))
        classes.changed.connect(self.refresh)
        classes.current_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes."""
        classes = self._classes
        with quietly(self.table):
            self.table.setRowCount(len(classes))
            for index, one in enumerate(classes.items):
                name = QTableWidgetItem(_swatch(one.color), one.name)
                count = QTableWidgetItem(f"{self._counts.get(one.name, 0):,}")
                count.setFlags(count.flags() & ~Qt.ItemFlag.ItemIsEditable)
                count.setTextAlignment(
                    Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                )
                self.table.setItem(index, 0, name)
                self.table.setItem(index, 1, count)
            if len(classes):
                self.table.selectRow(classes.current)
        # Before there is a class, one button says what to do.
        for widget in (self.table, self.color, self.remove):
            widget.setVisible(bool(len(classes)))
        self.add.setText("Add" if len(classes) else "Add a class")

    def show_counts(self, tiles: LabelledTiles | None) -> None:
        """Show how many tiles each class has."""
        counts: dict[str, int] = {}
        if tiles is not None:
            numbers = tiles.counts.tolist()
            counts = {c.name: n for c, n in zip(tiles.classes, numbers, strict=True)}
        if counts != self._counts:
            self._counts = counts
            self.refresh()

    def shut(self) -> None:
        """Hear no more of the classes."""
        self._classes.changed.disconnect(self.refresh)
        self._classes.current_changed.disconnect(self.refresh)

    def _on_selected(self) -> None:
        row = self.table.currentRow()
        if row >= 0:
            self._classes.current = row

    def _on_renamed(self, item: QTableWidgetItem) -> None:
        index, name = item.row(), item.text()
        if item.column() == 0:
            self._try(lambda: self._classes.rename(index, name))
            # The old name is back where the new one was refused.
            self.refresh()

    def _on_color(self) -> None:
        index = self._classes.current
        before = QColor(*self._classes.items[index].color)
        chosen = QColorDialog.getColor(before, self, "Colour of the class")
        if chosen.isValid():
            red, green, blue = chosen.red(), chosen.green(), chosen.blue()
            self._classes.recolor(index, (red, green, blue))


def _swatch(color: tuple[int, int, int]) -> QIcon:
    picture = QPixmap(_SWATCH)
    picture.fill(QColor(*color))
    return QIcon(picture)
