"""The virtual slide of the current slide: made where somebody looks, in a worker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pathfm.viewer._metadata import entry, entry_for
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_virtual
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers
from napari_pathfm.viewer.session._synthetic_layers import mark_synthetic
from napari_pathfm.viewer.session._virtual_queue import ChunkQueue, chunks_in_view
from napari_pathfm.viewer.session._virtual_work import Kept, Preparing

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.synthesis import Chunk
    from napari_pathfm.viewer._notices import Severity
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState
    from napari_pathfm.viewer.session._virtual_levels import VirtualLevels

#: Chunks in view above which nothing is made: the whole slide would be, by a zoom.
MOST_CHUNKS = 40


@dataclass(eq=False)
class _Open:
    """A virtual slide that is on the canvas."""

    state: SlideState
    levels: VirtualLevels
    layer: Image


class Virtual:
    """At most one virtual slide at a time.

    Attributes
    ----------
    job : Job or None
        Preparing, or making chunks.
    paused : bool
        Whether a person has stopped it; `begin` goes on.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._open: _Open | None = None
        self._queue = ChunkQueue()
        # From a session file, until it is on the canvas; and whether that was tried.
        self._kept: Kept | None = None
        self._tried = False
        self.job: Job | None = None
        self.paused = False
        viewer = session.viewer
        viewer.scene.camera.events.center.connect(self._on_view)
        viewer.scene.camera.events.zoom.connect(self._on_view)
        viewer.layers.events.removed.connect(self._on_removed)
        session.slide_changed.connect(self._on_slide)

    def close(self) -> None:
        """Let go of the viewer."""
        viewer = self._session.viewer
        viewer.scene.camera.events.center.disconnect(self._on_view)
        viewer.scene.camera.events.zoom.disconnect(self._on_view)
        viewer.layers.events.removed.disconnect(self._on_removed)
        self.cancel()

    @property
    def layer(self) -> Image | None:
        """The layer on the canvas."""
        return None if self._open is None else self._open.layer

    @property
    def running(self) -> bool:
        """Whether it is being prepared or made."""
        return self.job is not None and self.job.running

    @property
    def too_far(self) -> bool:
        """Whether so much is in view that nothing is made."""
        return self._open is not None and len(self.in_view()) > MOST_CHUNKS

    def in_view(self) -> list[Chunk]:
        """Give its chunks that the canvas shows, the nearest to its middle first."""
        own = self._open
        if own is None:
            return []
        return chunks_in_view(self._session.viewer, own.layer, own.levels.virtual)

    def begin(self) -> None:
        """Lay a virtual slide over the current one, or go on with it."""
        session = self._session
        state = session.current
        if state is None or self.running:
            return
        if state.mpp is None:
            session.say("Enter the slide's pixel size first.")
            return
        if self._open is not None and self._open.state is state and self.paused:
            self.paused = False
            self._on_view()
            return
        self._prepare(state)

    def cancel(self) -> None:
        """Stop after the pass of the network that is being done; chunks stay."""
        self.paused = True
        self._queue.clear()
        if self.job is not None and self.job.running:
            self.job.cancel()
        self.changed.emit()

    # -- session files -----------------------------------------------------------------

    @property
    def kept(self) -> Kept | None:
        """What makes it again; of one from a file that is not back, what that said."""
        if self._open is None:
            return self._kept
        virtual, layer = self._open.levels.virtual, self._open.layer
        shown = {
            "name": layer.name,
            "visible": bool(layer.visible),
            "opacity": float(layer.opacity),
        }
        return Kept(virtual.asked, virtual.provenance, self.paused, shown)

    def bring_back(self, kept: Kept) -> None:
        """Lay one from a session file again, as soon as its slide is open."""
        self._kept, self._tried = kept, False
        for state in self._session.states():
            self._try(state)

    def _on_slide(self) -> None:
        if self._session.current is not None:
            self._try(self._session.current)

    def _try(self, state: SlideState) -> None:
        kept = self._kept
        if kept is None or self._tried or state.mpp is None:
            return
        if kept.fingerprint == state.fingerprint:
            self._tried = True
            self.cancel()
            self._prepare(state, kept)

    # -- making it ---------------------------------------------------------------------

    def _prepare(self, state: SlideState, kept: Kept | None = None) -> None:
        session, synthesis = self._session, self._session.synthesis
        common = session.models, state.slide, session.cache
        if kept is None:
            work = Preparing(
                *common,
                synthesis.generator,
                synthesis.sampling,
                trust_remote_code=synthesis.trust_remote_code,
            )
        else:
            told = kept.provenance
            work = Preparing(*common, told.generator, kept.settings, before=told)
        self.paused = False
        self._run("Preparing the virtual slide", "tiles", work, state, kept)

    def _run(
        self,
        title: str,
        unit: str,
        work: Any,
        state: SlideState,
        kept: Kept | None = None,
    ) -> None:
        job = self.job = Job(title, unit)
        job.changed.connect(self.changed.emit)
        job.published.connect(lambda _: self._redraw())

        def ended(outcome: Outcome) -> None:
            # Of one that a session file has replaced nothing is heard any more.
            if job is self.job:
                self._ended(state, kept, outcome)

        self._session.runner.start(work, job, ended)
        self.changed.emit()

    def _ended(self, state: SlideState, kept: Kept | None, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.paused = True
            # A session is there without it.
            severity: Severity = "error" if kept is None else "warning"
            self._session.report(outcome.error, severity)
        elif outcome.state == "cancelled":
            self.paused = True
        elif isinstance(outcome.value, tuple):
            if state.layer in self._session.viewer.layers:
                self._show(state, kept, *outcome.value)
        else:
            self._redraw()
        # Somebody may have moved on while the last chunk was made.
        if outcome.state == "done":
            self._on_view()
        self.changed.emit()

    def _show(
        self,
        state: SlideState,
        kept: Kept | None,
        levels: VirtualLevels,
        store: EmbeddingStore,
    ) -> None:
        from napari.layers import Image

        from napari_pathfm.slides import grid_transform

        viewer, virtual = self._session.viewer, levels.virtual
        # One of another slide would lie there and never be gone on with.
        remove_layers(viewer, "virtual", None)
        scale, translate = grid_transform((0, 0), virtual.stride, state.mpp or 1.0)
        told = virtual.provenance
        shown = {"name": f"Synthetic slide · {told.generator} · seed {told.seed}"}
        layer = Image(
            levels.data,
            multiscale=True,
            rgb=True,
            scale=scale,
            translate=translate,
            units=state.layer.units[-2:],
            metadata=entry_for(
                "virtual",
                entry(state.layer) or {},
                synthetic=True,
                box=list(told.box or ()),
                provenance=[told.to_dict()],
            ),
            **(shown if kept is None else kept.shown),
        )
        add_layer(viewer, layer)
        self._open, self._kept = _Open(state, levels, layer), None
        self.paused = kept is not None and kept.paused
        record_virtual(self._session, layer, virtual, state.slide, store)
        self._session.runner.soon(lambda: mark_synthetic(layer))

    # -- what is in view ---------------------------------------------------------------

    def _on_view(self) -> None:
        own = self._open
        if own is None:
            return
        visible = self.in_view()
        if len(visible) > MOST_CHUNKS:
            visible = []
        virtual = own.levels.virtual
        todo = [c for c in visible if not (own.levels.has(c) or virtual.is_glass(c))]
        self._queue.set(visible, todo)
        if todo and not self.paused and not self.running:
            work = self._queue.worker(own.levels)
            self._run("Synthesising", "chunks", work, own.state)
        else:
            self.changed.emit()

    def _redraw(self) -> None:
        if self._open is not None and self._open.layer in self._session.viewer.layers:
            self._open.layer.refresh(extent=False)

    def _on_removed(self) -> None:
        own = self._open
        if own is not None and own.layer not in self._session.viewer.layers:
            self._open = None
            self.cancel()
            self.paused = False
            self.changed.emit()

    def forget(self, state: SlideState) -> None:
        """Take it off a slide that is closed or has another pixel size now."""
        if self._open is not None and self._open.state is state:
            remove_layers(self._session.viewer, "virtual", state.fingerprint)
