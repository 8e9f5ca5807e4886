"""Synthesis of what is no single tile: buttons under the generator's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QWidget

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session


class RegionRows(QWidget):
    """Repair what is drawn, or make a region once more."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.repair = QPushButton("Repair")
        self.repair.setToolTip(
            'Makes what is drawn in the layer "Repair" anew from its surroundings: a '
            "fold, a pen mark, a bubble. All other pixels stay the slide's. The first "
            "press gives a layer to draw on; a Labels layer of that name does too."
        )
        self.twin = QPushButton("Twin a region")
        self.twin.setToolTip(
            'Makes the rectangle drawn in the layer "Twin" once more, as one area, '
            "from the embeddings of its tiles. The first press gives a layer to draw "
            "on. Takes as many times as long as a tile as there are tiles."
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.repair)
        layout.addWidget(self.twin)
        self.repair.clicked.connect(lambda: session.repairs.begin())
        self.twin.clicked.connect(lambda: session.twins.begin())

    def refresh(self) -> None:
        """Show whether there is anything to press for."""
        state = self._session.current
        running = self._session.synthesis.running
        ready = state is not None and state.mpp is not None and not running
        self.repair.setEnabled(ready)
        self.twin.setEnabled(ready)
