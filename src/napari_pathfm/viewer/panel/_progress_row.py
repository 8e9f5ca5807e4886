"""Long work in one row: what, how far, how fast, how long still, and a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QProgressBar, QWidget

from napari_pathfm.viewer.panel._forms import small_button

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Job


class ProgressRow(QWidget):
    """Shows a job while it runs, and nothing otherwise."""

    cancelled = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.text = QLabel()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.cancel = small_button("Cancel")
        self.cancel.setToolTip("Stop after the batch that is being worked on.")
        self.cancel.clicked.connect(lambda: self.cancelled.emit())
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(3)
        layout.addWidget(self.bar, 0, 0)
        layout.addWidget(self.cancel, 0, 1, 2, 1, Qt.AlignmentFlag.AlignVCenter)
        layout.addWidget(self.text, 1, 0)
        layout.setColumnStretch(0, 1)
        self.hide()

    def show_job(self, job: Job | None) -> None:
        """Show how far a job is."""
        # Work that is over at once says nothing: rows that flash by are noise.
        visible = job is not None and job.running and bool(job.note or job.total)
        self.setVisible(visible)
        if job is None or not visible:
            return
        self.bar.setRange(0, job.total)
        self.bar.setValue(job.done)
        self.text.setText(describe(job))
        self.cancel.setEnabled(not job.cancelled())


def describe(job: Job) -> str:
    """Say how far a job is: ``132 / 560 tiles · 41/s · 0:12 left``."""
    if job.note or not job.total:
        note = job.note or "starting"
        return note[0].upper() + note[1:] + ("" if note.endswith("…") else "…")
    parts = [f"{job.done:,} / {job.total:,} {job.unit}"]
    rate, left = job.rate, job.seconds_left
    if rate is not None:
        parts.append(f"{rate:.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
    if left is not None:
        parts.append(f"{clock(left)} left")
    return " · ".join(parts)


def clock(seconds: float) -> str:
    """Write a duration: ``0:07``, ``12:30``, ``1:02:30``."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}"
