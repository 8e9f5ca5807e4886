"""Where the slide's embeddings are, and a button for those made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QWidget

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer.panel._forms import Eliding, small_button

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Session


class StoreRow(QWidget):
    """A view of which store answers for the current slide."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.name = Eliding()
        self.button = small_button("Use…")
        self.button.setToolTip(
            "Take embeddings that were made elsewhere, by `napari-pathfm embed` on a "
            "cluster or imported: choose the folder that ends in .zarr. It may be "
            "dropped on the canvas, too."
        )
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.name, 1)
        layout.addWidget(self.button)
        self.button.clicked.connect(self._on_use)

    def refresh(self) -> None:
        """Show the store of the current slide."""
        path = self._session.similarity.store_path
        self.name.setText("" if path is None else path.name)
        self.name.setToolTip(
            "" if path is None else f"Embeddings are kept here and used again:\n{path}"
        )

    def _on_use(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Use a store", self._folder())
        if not name:
            return
        try:
            self._session.stores.use(Path(name))
        except PathfmError as error:
            self._session.report(error)

    def _folder(self) -> str:
        state = self._session.current
        return "" if state is None else str(Path(state.slide.path).parent)
