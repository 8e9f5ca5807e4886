"""Search other slides: where to look, a button, and what was found."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QMenu,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.viewer.panel._forms import Eliding, hint, set_hint, small_button
from napari_pathfm.viewer.panel._progress_row import ProgressRow
from napari_pathfm.viewer.panel._tile_button import TileGrid
from napari_pathfm.viewer.session._gallery import COUNT

if TYPE_CHECKING:
    from napari_pathfm.viewer.session import Across
    from napari_pathfm.viewer.session._across_work import OtherTile


class AcrossRow(QWidget):
    """A view of an `Across`."""

    def __init__(self, across: Across) -> None:
        super().__init__()
        self._across = across
        self._shown: list[OtherTile] | None = None
        self.button = QPushButton("Search other slides")
        self.button.setToolTip(
            "Finds the tiles of other slides that are most like what was clicked or "
            "drawn as like, in their embedding stores. Click one to go there: its "
            "slide opens where it is not open yet."
        )
        self.choose = small_button("Where…")
        menu = QMenu(self.choose)
        self.folder = menu.addAction("Folder of stores…", self._on_folder)
        self.index = menu.addAction("Index file…", self._on_index)
        self.choose.setMenu(menu)
        # Room for the arrow of the menu.
        self.choose.setFixedWidth(self.choose.width() + 14)
        self.where = Eliding()
        self.progress = ProgressRow()
        self.tiles = TileGrid(COUNT, across.go, captioned=True)
        self.note = hint()
        self.back = small_button("Back")
        top = QHBoxLayout()
        top.setContentsMargins(0, 0, 0, 0)
        top.setSpacing(6)
        for widget, stretch in ((self.button, 0), (self.where, 1), (self.choose, 0)):
            top.addWidget(widget, stretch)
        below = QHBoxLayout()
        below.setContentsMargins(0, 0, 0, 0)
        below.setSpacing(6)
        below.addWidget(self.note, 1)
        below.addWidget(self.back)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addWidget(self.progress)
        layout.addWidget(self.tiles)
        layout.addLayout(below)
        self.button.clicked.connect(lambda: across.search())
        self.back.clicked.connect(lambda: across.back())
        self.progress.cancelled.connect(lambda: across.cancel())
        across.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show where it looks and what it has found."""
        across = self._across
        self.button.setEnabled(across.possible)
        self.where.setText(across.where.name)
        self.where.setToolTip(
            f"Other slides' embeddings are looked for in\n{across.where}"
        )
        self.progress.show_job(across.job)
        if self._shown is not across.tiles:
            self._show(across.tiles)
        set_hint(self.note, "\n".join(filter(None, (across.note, across.left_out))))
        name = across.elsewhere
        self.back.setVisible(bool(name))
        self.back.setToolTip(f"Go back to {name}, where this was searched for.")

    def _show(self, tiles: list[OtherTile]) -> None:
        self._shown = tiles
        self.tiles.show_count(len(tiles))
        for tile, button in zip(tiles, self.tiles.buttons, strict=False):
            button.setText(f"{tile.hit.score:.3f}")
            if tile.pixels is None:
                says = f"{describe(tile)} The slide was not found, or cannot be read."
                button.show_name(tile.slide.name, says)
            else:
                button.show_tile(tile.pixels, f"{describe(tile)} Click to go there.")

    def shut(self) -> None:
        """Hear no more of the session."""
        self._across.changed.disconnect(self.refresh)

    def _on_folder(self) -> None:
        start = self._across.where
        name = QFileDialog.getExistingDirectory(
            self, "Folder of embedding stores", str(start if start.is_dir() else "")
        )
        if name:
            self._across.choose(Path(name))

    def _on_index(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Index of embedding stores")
        if name:
            self._across.choose(Path(name))


def describe(tile: OtherTile) -> str:
    """Say whose a tile is, where it is, and how like."""
    hit = tile.hit
    return (
        f"{tile.slide.name}: similarity {hit.score:.3f} at x {hit.x:,.0f}, "
        f"y {hit.y:,.0f} px."
    )
