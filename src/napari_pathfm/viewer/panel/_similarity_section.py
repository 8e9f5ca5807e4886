"""Similarity: an encoder, clicks, and the map that answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_pathfm.viewer.panel._across_row import AcrossRow
from napari_pathfm.viewer.panel._doctor_dialog import DoctorButton, beside
from napari_pathfm.viewer.panel._forms import (
    Combo,
    Eliding,
    Section,
    add_row,
    form,
    hint,
    quietly,
    set_hint,
    small_button,
)
from napari_pathfm.viewer.panel._gallery_row import GalleryRow
from napari_pathfm.viewer.panel._progress_row import ProgressRow
from napari_pathfm.viewer.panel._store_row import StoreRow
from napari_pathfm.viewer.session import OVERLAPS

if TYPE_CHECKING:
    from napari_pathfm.viewer._canvas_tool import CanvasTool
    from napari_pathfm.viewer.session import Session

_FRACTIONS = {1: "1 tile", 2: "½ tile", 4: "¼ tile"}


class SimilaritySection(Section):
    """Choose an encoder, click tissue, watch the map fill in."""

    def __init__(self, session: Session, tool: CanvasTool) -> None:
        super().__init__("Similarity")
        self._session = session
        self._tool = tool
        self._choices = {c.name: c for c in session.models.encoder_choices()}

        self.encoder = Combo()
        for choice in self._choices.values():
            self.encoder.addItem(choice.title, choice.name)
        self.step = Combo()
        self.tool = QPushButton("Click tissue on the slide")
        self.tool.setCheckable(True)
        self.tool.setToolTip(
            "While this is on, a click marks tissue that the map should be like, and "
            "Shift+click tissue that it should not. Dragging still moves the slide."
        )
        self.keys = hint("Click: like · Shift+click: unlike · drag: move the slide")
        self.count = QLabel()
        self.clear = small_button("Clear")
        self.clear.setToolTip("Take all clicks back; the map goes, embeddings stay.")
        self.drawn = QLabel()
        self.draw_like = small_button("Like…")
        self.draw_like.setToolTip("Draw around tissue that the map should be like.")
        self.draw_unlike = small_button("Unlike…")
        self.draw_unlike.setToolTip("Draw around tissue that it should not be like.")
        self.fine = QCheckBox()
        self.fine_note = Eliding()
        self.progress = ProgressRow()
        self.gallery = GalleryRow(session.gallery)
        self.across = AcrossRow(session.across)
        self.store = StoreRow(session)

        layout = form()
        self.check = DoctorButton(
            session, "encoder", lambda: (session.similarity.encoder, False)
        )
        add_row(layout, "Encoder", beside(self.encoder, self.check))
        add_row(
            layout,
            "Step",
            self.step,
            "From one tile to the next, and so the map's cell: a finer step shows more "
            "and takes 4 or 16 times as long to embed.",
        )
        self.body.addLayout(layout)
        self.body.addWidget(self.tool)
        self.body.addWidget(self.keys)
        below = form()
        add_row(
            below,
            "Clicks",
            self._clicks(),
            "Each tile's score is its cosine to the mean of the tiles clicked as like, "
            "minus that to those clicked as unlike: 1 is the same, 0 unrelated.",
        )
        add_row(
            below,
            "Regions",
            self._regions(),
            'What is drawn in the layers "Like" and "Unlike" (shapes or labels) '
            "stands for the mean of its tiles, beside the clicks; the map follows.",
        )
        add_row(
            below,
            "Fine",
            _beside_note(self.fine, self.fine_note),
            "Also compare what is in view patch by patch, with the patches under the "
            "clicks and regions. Tiles are encoded when the view rests, the nearest to "
            "its middle first; those seen last are kept in memory.",
        )
        add_row(below, "Store", self.store)
        self.body.addLayout(below)
        self.body.addWidget(self.progress)
        self.body.addWidget(self.gallery)
        self.body.addWidget(self.across)
        self._list_steps()

        self.encoder.currentIndexChanged.connect(self._on_encoder)
        self.step.currentIndexChanged.connect(self._on_step)
        self.tool.toggled.connect(self._on_tool)
        self.clear.clicked.connect(self._on_clear)
        self.draw_like.clicked.connect(lambda: session.regions.draw("like"))
        self.draw_unlike.clicked.connect(lambda: session.regions.draw("unlike"))
        session.regions.changed.connect(self.refresh_prompts)
        self.fine.toggled.connect(self._on_fine)
        session.fine.changed.connect(self.refresh_fine)
        self.progress.cancelled.connect(session.similarity.cancel)

    def refresh(self) -> None:
        """Show the session's settings and prompts."""
        similarity = self._session.similarity
        with quietly(self.encoder, self.step):
            self.encoder.setCurrentIndex(self.encoder.findData(similarity.encoder))
            self.step.setCurrentIndex(OVERLAPS.index(similarity.overlap))
        choice = self._choices.get(similarity.encoder)
        self.encoder.setToolTip(choice.tooltip if choice else "")
        state = self._session.current
        ready = state is not None and state.mpp is not None
        self.tool.setEnabled(ready)
        self.progress.show_job(similarity.job)
        self.store.refresh()
        self.gallery.refresh()
        self.across.refresh()
        self.refresh_fine()
        self.refresh_prompts()

    def refresh_fine(self) -> None:
        """Show whether the view is compared patch by patch, and how far that is."""
        fine = self._session.fine
        with quietly(self.fine):
            self.fine.setChecked(fine.on)
            self.fine.setText(f"{fine.cell_um:g} µm, in view")
        self.fine_note.setText(fine.note)
        state = self._session.current
        self.fine.setEnabled(state is not None and state.mpp is not None)

    def refresh_prompts(self) -> None:
        """Show how many clicks there are."""
        state = self._session.current
        prompts = None if state is None else state.prompts
        likes = len(prompts.points("like")) if prompts else 0
        unlikes = len(prompts.points("unlike")) if prompts else 0
        self.count.setText(
            f"{likes} like · {unlikes} unlike" if likes or unlikes else "none"
        )
        drawn = {} if state is None else state.regions
        self.drawn.setText(" · ".join(drawn) if drawn else "none")
        ready = state is not None and state.mpp is not None
        self.draw_like.setEnabled(ready)
        self.draw_unlike.setEnabled(ready)
        self.clear.setEnabled(bool(likes or unlikes))

    def refresh_tool(self) -> None:
        """Show whether the tool is in hand."""
        with quietly(self.tool):
            self.tool.setChecked(self._tool.active)
        set_hint(
            self.keys,
            "Click: like · Shift+click: unlike · drag: move"
            if self._tool.active
            else "",
        )

    def _clicks(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.count, 1)
        layout.addWidget(self.clear)
        return row

    def _regions(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.drawn, 1)
        layout.addWidget(self.draw_like)
        layout.addWidget(self.draw_unlike)
        return row

    def _list_steps(self) -> None:
        choice = self._choices.get(self._session.similarity.encoder)
        side = choice.tile_um if choice else 0.0
        with quietly(self.step):
            self.step.clear()
            for overlap in OVERLAPS:
                self.step.addItem(
                    f"{_FRACTIONS[overlap]} ({side / overlap:g} µm)", overlap
                )

    def _on_encoder(self) -> None:
        self._session.similarity.encoder = self.encoder.currentData()
        self._list_steps()
        self.refresh()

    def _on_step(self) -> None:
        self._session.similarity.overlap = self.step.currentData()

    def _on_fine(self, on: bool) -> None:
        self._session.fine.on = on

    def _on_tool(self, active: bool) -> None:
        self._tool.active = active

    def _on_clear(self) -> None:
        state = self._session.current
        if state is not None:
            state.prompts.clear()


def _beside_note(switch: QCheckBox, note: Eliding) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(8)
    layout.addWidget(switch)
    layout.addWidget(note, 1)
    return row
