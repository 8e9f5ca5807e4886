"""Synthesis of what is no single tile: buttons under the generator's settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_pathfm.viewer.panel._forms import hint, set_hint
from napari_pathfm.viewer.panel._progress_row import ProgressRow
from napari_pathfm.viewer.session import MOST_CHUNKS

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session


_VIRTUAL = "Virtual slide"


class RegionRows(QWidget):
    """Repair what is drawn, make a region once more, or the whole slide."""

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
        self.extend = QPushButton("Extend")
        self.extend.setToolTip(
            'Carries the rectangle drawn in the layer "Extend" on by a tile on every '
            "side, beyond the slide's edge too; the field itself is kept. The first "
            "press gives a layer to draw on."
        )
        self.virtual = QPushButton(_VIRTUAL)
        self.virtual.setToolTip(
            "Lays the synthetic twin of the whole slide over it, from its tiles' "
            "embeddings. It is made where you look, chunk by chunk, and comes out the "
            "same whenever it is made. Embeds the slide first where that was not done."
        )
        self.progress = ProgressRow()
        self.note = hint()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.repair, 0, 0)
        layout.addWidget(self.twin, 0, 1)
        layout.addWidget(self.extend, 1, 0)
        layout.addWidget(self.virtual, 1, 1)
        layout.addWidget(self.progress, 2, 0, 1, 2)
        layout.addWidget(self.note, 3, 0, 1, 2)
        self.repair.clicked.connect(lambda: session.repairs.begin())
        self.twin.clicked.connect(lambda: session.twins.begin())
        self.extend.clicked.connect(lambda: session.extensions.begin())
        self.virtual.clicked.connect(lambda: session.virtual.begin())
        self.progress.cancelled.connect(lambda: session.virtual.cancel())

    def refresh(self) -> None:
        """Show whether there is anything to press for."""
        state = self._session.current
        running = self._session.synthesis.running
        ready = state is not None and state.mpp is not None and not running
        self.repair.setEnabled(ready)
        self.twin.setEnabled(ready)
        self.extend.setEnabled(ready)
        self.refresh_virtual()

    def refresh_virtual(self) -> None:
        """Show how far the virtual slide is."""
        state, virtual = self._session.current, self._session.virtual
        self.progress.show_job(virtual.job)
        going_on = virtual.layer is not None and virtual.paused
        self.virtual.setText("Go on (virtual slide)" if going_on else _VIRTUAL)
        known = state is not None and state.mpp is not None
        self.virtual.setEnabled(known and not virtual.running)
        note = ""
        if virtual.too_far:
            note = f"Zoom in: at most {MOST_CHUNKS} chunks in view are made."
        set_hint(self.note, note)
