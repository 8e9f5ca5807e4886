"""The most similar tiles as pictures that lead to their place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.viewer.panel._forms import Combo, quietly, small_button
from napari_pathfm.viewer.panel._tile_button import TileGrid
from napari_pathfm.viewer.session._gallery import COUNT

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Gallery


class GalleryRow(QWidget):
    """A view of a `Gallery`: folded away until somebody wants it."""

    def __init__(self, gallery: Gallery) -> None:
        super().__init__()
        self._gallery = gallery
        self.show_tiles = QCheckBox("Show the tiles that are")
        self.which = Combo()
        self.which.addItem("most similar", False)
        self.which.addItem("least similar", True)
        self.annotate = small_button("Outline")
        self.annotate.setToolTip(
            "Outline these tiles in a layer of their own, with their similarity, which "
            "File > Save writes for QuPath."
        )
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setSpacing(6)
        top.addWidget(self.show_tiles)
        top.addWidget(self.which, 1)
        top.addWidget(self.annotate)
        self.tiles = TileGrid(COUNT, gallery.go)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.tiles)
        self.show_tiles.toggled.connect(self._on_shown)
        self.which.currentIndexChanged.connect(self._on_which)
        self.annotate.clicked.connect(gallery.annotate)
        gallery.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the gallery's pictures."""
        gallery = self._gallery
        with quietly(self.show_tiles, self.which):
            self.show_tiles.setChecked(gallery.shown)
            self.which.setCurrentIndex(int(gallery.lowest))
        self.setVisible(gallery.possible or gallery.shown)
        pictures = gallery.pictures if gallery.shown else []
        self.tiles.show_count(len(pictures))
        self.which.setEnabled(gallery.shown)
        self.annotate.setEnabled(bool(pictures))
        for (found, pixels), button in zip(pictures, self.tiles.buttons, strict=False):
            button.show_tile(
                pixels,
                f"Similarity {found.value:.2f} at x {found.x:,.0f}, "
                f"y {found.y:,.0f} px. Click to go there.",
            )

    def shut(self) -> None:
        """Hear no more of the gallery."""
        self._gallery.changed.disconnect(self.refresh)

    def _on_shown(self, shown: bool) -> None:
        self._gallery.shown = shown

    def _on_which(self) -> None:
        self._gallery.lowest = bool(self.which.currentData())
