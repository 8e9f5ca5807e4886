"""The few pieces that all sections are built of, so that they line up."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QSignalBlocker, Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QFormLayout,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qtpy.QtCore import QObject, QSize
    from qtpy.QtGui import QWheelEvent

# The widest label of any section ("Pixel size", "Generator"), so that fields of
# different sections stand under each other.
_LABEL_WIDTH = 74
# napari asks for 70 px of digits in every number, which with two in a row makes the
# panel a third of a small screen; six digits fit into this.
_NUMBER_STYLE = "QAbstractSpinBox { min-width: 34px; padding: 1px 4px; }"


class Section(QWidget):
    """A titled part of the panel that folds away."""

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setCheckable(True)
        self.header.setChecked(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed
        )
        font = self.header.font()
        font.setBold(True)
        self.header.setFont(font)
        content = QWidget()
        self.body = QVBoxLayout(content)
        self.body.setContentsMargins(4, 2, 2, 8)
        self.body.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.header)
        layout.addWidget(content)
        self.header.toggled.connect(content.setVisible)
        self.header.toggled.connect(self._point)
        self._point(True)

    def _point(self, unfolded: bool) -> None:
        self.header.setArrowType(
            Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow
        )


class Combo(QComboBox):
    """A choice that does not widen the panel, nor change under a passing wheel."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.setMinimumContentsLength(6)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the panel's scrolling unless the field is in use."""
        _wheel(self, event, super().wheelEvent)


class Number(QSpinBox):
    """A whole number."""

    def __init__(self, low: int, high: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setRange(low, high)
        self.setStyleSheet(_NUMBER_STYLE)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the panel's scrolling unless the field is in use."""
        _wheel(self, event, super().wheelEvent)


class Decimal(QDoubleSpinBox):
    """A number with decimals."""

    def __init__(
        self,
        low: float,
        high: float,
        decimals: int,
        step: float,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setDecimals(decimals)
        self.setRange(low, high)
        self.setSingleStep(step)
        self.setStyleSheet(_NUMBER_STYLE)
        self.setKeyboardTracking(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Leave the wheel to the panel's scrolling unless the field is in use."""
        _wheel(self, event, super().wheelEvent)


def _wheel(field: QWidget, event: QWheelEvent | None, handle) -> None:
    if event is None:
        return
    if field.hasFocus():
        handle(event)
    else:
        event.ignore()


class Eliding(QElidingLabel):
    """A line that is cut rather than let the panel grow."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.setMinimumWidth(60)


def small_button(text: str) -> QPushButton:
    """Make a button little wider than its text, which napari's style would not."""
    button = QPushButton(text)
    button.setFixedWidth(button.fontMetrics().horizontalAdvance(text) + 22)
    return button


class DownScroll(QScrollArea):
    """Scrolls down, never sideways: it asks for the width that its content needs."""

    def __init__(self, content: QWidget) -> None:
        super().__init__()
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content.installEventFilter(self)

    def minimumSizeHint(self) -> QSize:
        """Leave room for the content and the bar beside it."""
        content, bar = self.widget(), self.verticalScrollBar()
        size = super().minimumSizeHint()
        if content is not None and bar is not None:
            needed = content.minimumSizeHint().width() + bar.sizeHint().width()
            size.setWidth(max(size.width(), needed))
        return size

    def sizeHint(self) -> QSize:
        """Be no wider than needed."""
        return super().sizeHint().expandedTo(self.minimumSizeHint())

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Ask again when rows come and go, or the style changes."""
        if event is not None and event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def form() -> QFormLayout:
    """Make a form whose labels stand in one column across sections."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(8)
    layout.setVerticalSpacing(5)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def add_row(layout: QFormLayout, text: str, field: QWidget, tooltip: str = "") -> None:
    """Add a labelled field; label and field share the tooltip."""
    label = QLabel(text)
    label.setFixedWidth(_LABEL_WIDTH)
    label.setBuddy(field)
    if tooltip:
        label.setToolTip(tooltip)
        field.setToolTip(tooltip)
    layout.addRow(label, field)


def hint(text: str = "") -> QLabel:
    """Make a line that explains: wrapped, a size smaller."""
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.RichText)
    label.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Minimum)
    set_hint(label, text)
    return label


def set_hint(label: QLabel, text: str) -> None:
    """Write into a line made by `hint`; plain text, hidden where empty."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
    label.setText(f"<small>{escaped}</small>" if text else "")
    label.setVisible(bool(text))


@contextmanager
def quietly(*widgets: QWidget) -> Iterator[None]:
    """Write into widgets without their telling anybody."""
    blockers = [QSignalBlocker(widget) for widget in widgets]
    try:
        yield
    finally:
        for blocker in blockers:
            blocker.unblock()
