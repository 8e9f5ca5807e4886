"""The docked panel "Pathology models"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtWidgets import (
    QLabel,
    QSizePolicy,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from napari_pathfm.viewer._canvas_tool import CanvasTool
from napari_pathfm.viewer._notices import RESEARCH_ONLY
from napari_pathfm.viewer._preferences import switched_on
from napari_pathfm.viewer._workers import QtRunner
from napari_pathfm.viewer.panel._classes_section import ClassesSection
from napari_pathfm.viewer.panel._forms import DownScroll, hint, set_hint
from napari_pathfm.viewer.panel._minimap import Minimap
from napari_pathfm.viewer.panel._session_bar import SessionBar
from napari_pathfm.viewer.panel._similarity_section import SimilaritySection
from napari_pathfm.viewer.panel._slide_section import SlideSection
from napari_pathfm.viewer.panel._synthesis_section import SynthesisSection
from napari_pathfm.viewer.session import Prefetch, Session

if TYPE_CHECKING:
    from pathlib import Path

    import napari.viewer

    from napari_pathfm.viewer.session import Autosave, Models

_EMPTY = (
    "<b>No slide is open</b><br><br>"
    "Open one with <i>File &gt; Open File(s)…</i> or drop it on the canvas.<br><br>"
    "To try it out: <i>File &gt; Open Sample &gt; Pathology Foundation Models</i>."
)


class ModelsPanel(QWidget):
    """A view over a `Session`, with the canvas tool that belongs to it.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        Given by napari.
    models : Models, optional
        Where encoders and generators come from.
    cache : Path, optional
        Folder for embedding stores.
    """

    def __init__(
        self,
        napari_viewer: napari.viewer.Viewer,
        *,
        models: Models | None = None,
        cache: Path | None = None,
    ) -> None:
        super().__init__()
        # napari hands plugins a proxy, behind which a layer is never the same object
        # twice; we hold on to layers.
        viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.runner = QtRunner()
        self.session = Session(viewer, self.runner, models=models, cache=cache)
        self.tool = CanvasTool(viewer, self.session)
        self._docked = False
        self._shut = False
        self._scale_shown = False

        self.slide = SlideSection(self.session)
        self.similarity = SimilaritySection(self.session, self.tool)
        self.classes = ClassesSection(self.session)
        self.synthesis = SynthesisSection(self.session)
        self.sessions = SessionBar(self.session)
        self.minimap = Minimap(self.session.overview)
        self.prefetch = (
            Prefetch(viewer) if switched_on("viewing", "read_ahead") else None
        )
        self.slide.overview.toggled.connect(self._on_overview)
        self.message = hint()
        self.notice = hint()
        self.pages = QStackedWidget()
        self.pages.addWidget(self._empty_page())
        self.pages.addWidget(self._slide_page())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 6)
        layout.setSpacing(6)
        layout.addWidget(self.sessions.question)
        layout.addWidget(self.pages, 1)
        layout.addWidget(self.sessions)
        layout.addWidget(self.message)
        layout.addWidget(self.notice)
        # napari would add a stretch below a panel that did not want the room.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._connect()
        self.refresh()
        self._show_scale()
        self.session.prepare()
        # Reached when the window goes with the panel in it.
        self.destroyed.connect(
            _closer(self.session, self.tool, self.prefetch, self.sessions.autosave)
        )

    def refresh(self) -> None:
        """Show all of the session."""
        session = self.session
        self.pages.setCurrentIndex(0 if session.current is None else 1)
        state = session.current
        if state is None or state.mpp is None:
            self.tool.active = False
        self.slide.refresh()
        self.sessions.refresh()
        self.similarity.refresh()
        self.similarity.refresh_tool()
        self.classes.refresh()
        self.synthesis.refresh()
        set_hint(self.message, session.message)
        set_hint(self.notice, self._notice())

    def shut(self) -> None:
        """Let go of the viewer and stop what is going on; the layers stay."""
        if self._shut:
            return
        self._shut = True
        self.tool.close()
        self.classes.shut()
        self.similarity.gallery.shut()
        self.similarity.across.shut()
        self.synthesis.fidelity.shut()
        self.synthesis.compare.shut()
        self.sessions.shut()
        self.session.close()
        self.minimap.shut()
        if self.prefetch is not None:
            self.prefetch.close()

    def event(self, event: QEvent | None) -> bool:
        """Notice when napari docks the panel, or takes it out without closing it."""
        if event is not None and event.type() == QEvent.Type.ParentChange:
            if self.parent() is not None:
                self._docked = True
            elif self._docked:
                self._docked = False
                self.shut()
                self.deleteLater()
        elif event is not None and event.type() == QEvent.Type.Show:
            # Only now is the dock in napari's window, and the canvas to be found.
            self.minimap.place_on(self.window())
        return bool(super().event(event))

    def _connect(self) -> None:
        session = self.session
        session.slide_changed.connect(self.refresh)
        session.slide_changed.connect(self._show_scale)
        session.prompts_changed.connect(self.similarity.refresh_prompts)
        session.prompts_changed.connect(self.synthesis.refresh_place)
        session.classes.changed.connect(self.synthesis.refresh_place)
        session.message_changed.connect(self._on_message)
        session.tissue.changed.connect(self.slide.refresh_tissue)
        session.similarity.changed.connect(self._on_similarity)
        session.synthesis.changed.connect(self._on_synthesis)
        session.virtual.changed.connect(self.synthesis.regions.refresh_virtual)
        session.viewer.layers.events.removed.connect(self.slide.refresh_tissue)
        self.tool.changed.connect(self._on_tool)

    def _on_overview(self, wanted: bool) -> None:
        self.minimap.wanted = wanted

    def _show_scale(self) -> None:
        """Show napari's scale bar with the first slide; who hides it is left alone."""
        state = self.session.current
        if not self._scale_shown and state is not None and state.mpp is not None:
            self._scale_shown = True
            self.session.viewer.canvas.overlays.scale_bar.visible = True

    def _on_tool(self) -> None:
        self.similarity.refresh_tool()
        if self.tool.active:
            self.session.prepare(models=True)

    def _on_message(self) -> None:
        set_hint(self.message, self.session.message)

    def _on_similarity(self) -> None:
        self.similarity.refresh()
        self.slide.refresh_tissue()
        set_hint(self.notice, self._notice())

    def _on_synthesis(self) -> None:
        self.synthesis.refresh()
        set_hint(self.notice, self._notice())

    def _notice(self) -> str:
        """Say what the chosen models' makers say, once each."""
        session = self.session
        lines = [RESEARCH_ONLY]
        if session.current is not None:
            encoders = session.models.encoder_choices()
            generators = session.models.generator_choices()
            notices = [
                choice.notice
                for choices, name in (
                    (encoders, session.similarity.encoder),
                    (generators, session.synthesis.generator),
                )
                for choice in choices
                if choice.name == name and choice.notice
            ]
            lines += dict.fromkeys(notices)
        return " ".join(lines)

    def _empty_page(self) -> QWidget:
        page = QWidget()
        layout = QVBoxLayout(page)
        text = QLabel(_EMPTY)
        text.setWordWrap(True)
        text.setTextFormat(Qt.TextFormat.RichText)
        layout.addWidget(text)
        layout.addStretch(1)
        return page

    def _slide_page(self) -> QWidget:
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(0, 0, 4, 0)
        layout.setSpacing(4)
        for section in (
            self.slide,
            self.similarity,
            self.classes,
            self.synthesis,
        ):
            layout.addWidget(section)
        layout.addStretch(1)
        return DownScroll(content)


def _closer(
    session: Session, tool: CanvasTool, prefetch: Prefetch | None, autosave: Autosave
):
    """Make a slot that outlives the panel."""

    def close() -> None:
        if prefetch is not None:
            prefetch.close()
        tool.close()
        autosave.close()
        session.close()

    return close
