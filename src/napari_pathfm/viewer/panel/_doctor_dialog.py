"""A quiet button beside a model's name, and what the doctor found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QStyle,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.viewer.panel._forms import DownScroll
from napari_pathfm.viewer.session import Doctor

if TYPE_CHECKING:
    from collections.abc import Callable

    from qtpy.QtGui import QCloseEvent

    from napari_pathfm.viewer.session import Session
    from napari_pathfm.viewer.session._doctor import Kind
    from napari_pathfm.weights import Check

_ICONS = {
    "passed": (QStyle.StandardPixmap.SP_DialogApplyButton, "All right"),
    "noted": (QStyle.StandardPixmap.SP_MessageBoxInformation, "Worth knowing"),
    "failed": (QStyle.StandardPixmap.SP_MessageBoxCritical, "In the way"),
}
_ICON_PX = 18
_SIZE = (560, 420)


class DoctorButton(QToolButton):
    """Opens the doctor's dialog for the model that is chosen.

    Parameters
    ----------
    session : Session
        Where models and workers are.
    kind : {"encoder", "generator"}
        Which choice it stands beside.
    chosen : callable
        Gives the name that is chosen, and whether its own code may run.
    """

    def __init__(
        self, session: Session, kind: Kind, chosen: Callable[[], tuple[str, bool]]
    ) -> None:
        super().__init__()
        self.setText("?")
        self.setAutoRaise(True)
        self.setToolTip(
            f"Can this {kind} be used here? Looks for access, download, memory and "
            "device, and says what to do. Nothing is downloaded."
        )
        self.setAccessibleName(f"Check the {kind}")
        self._session = session
        self._kind = kind
        self._chosen = chosen
        self.dialog: DoctorDialog | None = None
        self.clicked.connect(self.open)

    def open(self) -> None:
        """Show the dialog and begin."""
        if self.dialog is None:
            doctor = Doctor(self._session.models, self._session.runner)
            self.dialog = DoctorDialog(doctor, self._examine, self.window())
        self._examine()
        self.dialog.show()
        self.dialog.raise_()

    def _examine(self) -> None:
        if self.dialog is not None:
            name, trusted = self._chosen()
            self.dialog.doctor.examine(self._kind, name, trust_remote_code=trusted)


class DoctorDialog(QDialog):
    """What was looked at, with the way out of each, as text that can be copied.

    Parameters
    ----------
    doctor : Doctor
        Whose findings are shown.
    again : callable
        Begins anew.
    parent : QWidget, optional
        The window that it belongs to.
    """

    def __init__(
        self,
        doctor: Doctor,
        again: Callable[[], None],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.doctor = doctor
        self.headline = _text()
        font = self.headline.font()
        font.setBold(True)
        self.headline.setFont(font)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setFixedHeight(6)
        self.rows = QWidget()
        self._grid = QGridLayout(self.rows)
        self._grid.setColumnStretch(1, 1)
        self._grid.setHorizontalSpacing(10)
        self._grid.setVerticalSpacing(8)
        self.page = QLabel()
        self.page.setOpenExternalLinks(True)
        self.page.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        self.copy = QPushButton("Copy as text")
        self.again = QPushButton("Check again")
        self.shut = QPushButton("Close")
        self.shut.setDefault(True)
        buttons = QHBoxLayout()
        buttons.addWidget(self.copy)
        buttons.addStretch(1)
        buttons.addWidget(self.again)
        buttons.addWidget(self.shut)
        layout = QVBoxLayout(self)
        layout.addWidget(self.headline)
        layout.addWidget(self.busy)
        layout.addWidget(DownScroll(self.rows), 1)
        layout.addWidget(self.page)
        layout.addLayout(buttons)
        self.resize(*_SIZE)
        self.copy.clicked.connect(self._copy)
        self.again.clicked.connect(lambda: again())
        self.shut.clicked.connect(self.close)
        doctor.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show how far the doctor is."""
        doctor = self.doctor
        self.setWindowTitle(f"{doctor.title} on this computer")
        self.headline.setText(doctor.headline)
        self.busy.setVisible(doctor.running)
        self.copy.setEnabled(not doctor.running)
        self.again.setEnabled(not doctor.running)
        page = doctor.access_page
        self.page.setVisible(page is not None)
        # Qt's own blue for links cannot be read on napari's dark theme.
        self.page.ensurePolished()
        colour = self.page.palette().windowText().color().name()
        link = f'<a href="{page}" style="color: {colour}">{page}</a>'
        self.page.setText(f"Access and licence: {link}")
        self._show(doctor.checks)

    def closeEvent(self, event: QCloseEvent | None) -> None:
        """Leave what is still being looked at."""
        self.doctor.leave()
        super().closeEvent(event)

    def _show(self, checks: tuple[Check, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            if (widget := item.widget()) is not None:
                widget.deleteLater()
        for row, check in enumerate(checks):
            self._grid.addWidget(self._icon(check), row, 0, Qt.AlignmentFlag.AlignTop)
            self._grid.addWidget(_finding(check), row, 1)
        self._grid.setRowStretch(len(checks), 1)

    def _icon(self, check: Check) -> QLabel:
        kind, says = _ICONS[check.outcome]
        label = QLabel()
        style = self.style()
        if style is not None:
            label.setPixmap(style.standardIcon(kind).pixmap(_ICON_PX, _ICON_PX))
        label.setToolTip(says)
        label.setAccessibleName(says)
        return label

    def _copy(self) -> None:
        clipboard = QGuiApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.doctor.text)


def _text() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _finding(check: Check) -> QWidget:
    """What was found, and below it what to do."""
    found = QWidget()
    layout = QVBoxLayout(found)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(2)
    says = _text()
    says.setText(f"{check.name.capitalize()}: {check.says}")
    layout.addWidget(says)
    if check.remedy:
        remedy = _text()
        remedy.setText(f"→ {check.remedy}")
        layout.addWidget(remedy)
    layout.addStretch(1)
    return found


def beside(choice: QWidget, button: DoctorButton) -> QWidget:
    """Put the button at the end of a choice's row."""
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(2)
    layout.addWidget(choice, 1)
    layout.addWidget(button)
    return row
