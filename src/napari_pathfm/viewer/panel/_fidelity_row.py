"""The comparison of a synthetic tile with its slide: words, and real tiles like it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_pathfm.viewer.panel._progress_row import ProgressRow
from napari_pathfm.viewer.panel._tile_button import TileButton

if TYPE_CHECKING:
    from napari_pathfm.synthesis import Trust
    from napari_pathfm.viewer.session import Session

_SHOWN = 6


class FidelityRow(QWidget):
    """A view of the session's `Fidelity`."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._fidelity = session.fidelity
        self.button = QPushButton("Compare with the slide")
        self.button.setToolTip(
            "Looks for the real tiles most like the synthetic one that is shown, and "
            "for copies: nearer to a real tile than real tiles are to each other, in "
            "all flips and turns. Embeds the slide first where that was not done."
        )
        self.progress = ProgressRow()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.tiles = QWidget()
        row = QHBoxLayout(self.tiles)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        self.buttons = [
            TileButton(partial(session.fidelity.go, index)) for index in range(_SHOWN)
        ]
        for button in self.buttons:
            row.addWidget(button)
        row.addStretch(1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.button, self.progress, self.text, self.tiles):
            layout.addWidget(widget)
        self.button.clicked.connect(lambda: self._fidelity.begin())
        self.progress.cancelled.connect(lambda: self._fidelity.cancel())
        self._fidelity.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show what is known."""
        fidelity = self._fidelity
        self.setVisible(fidelity.possible)
        self.button.setEnabled(not fidelity.running)
        self.progress.show_job(fidelity.job)
        found = fidelity.trust if fidelity.possible else None
        self.text.setVisible(found is not None)
        self.tiles.setVisible(found is not None)
        if found is None:
            return
        self.text.setText(trust_text(found, fidelity.step))
        for index, button in enumerate(self.buttons):
            button.setVisible(index < len(found.nearest))
            if index < len(found.nearest):
                one = found.nearest[index]
                button.show_tile(
                    one.pixels,
                    f"Cosine {one.cosine:.2f} at x {one.x:,.0f}, y {one.y:,.0f} px. "
                    "Click to go there.",
                )

    def shut(self) -> None:
        """Hear no more of the session."""
        self._fidelity.changed.disconnect(self.refresh)


def trust_text(found: Trust, step: int) -> str:
    """Say what came of it, a line a finding."""
    verdict = (
        "Suspected copy of a real tile"
        if found.copied
        else "Not nearer to a real tile than real tiles are to each other"
    )
    lines = [
        f"Image {step + 1}: {verdict}: texture {found.pixels:.2f} (copies from "
        f"{found.pixels_limit:.2f})."
    ]
    if found.second_cosine is None:
        lines.append("No second encoder on this computer: none but its own was asked.")
    else:
        around = found.second_neighbours
        line = f"Cosine to the real tile by {found.second}: {found.second_cosine:.2f}"
        if around:
            line += f"; real neighbours {around[0]:.2f} to {around[-1]:.2f}"
        lines.append(line)
    lines.append("The real tiles most like it:")
    return "\n".join(lines)
