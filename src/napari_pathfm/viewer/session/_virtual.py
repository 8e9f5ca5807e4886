"""The virtual slide of the current slide: made where somebody looks, in a worker."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pathfm.errors import Cancelled
from napari_pathfm.viewer._metadata import entry, entry_for
from napari_pathfm.viewer._preferences import preference
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_virtual
from napari_pathfm.viewer.session._shown import in_view
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers
from napari_pathfm.viewer.session._store_files import StoreKey, path_for_run
from napari_pathfm.viewer.session._synthetic_layers import mark_synthetic
from napari_pathfm.viewer.session._virtual_levels import VirtualLevels

if TYPE_CHECKING:
    import numpy as np
    from napari.layers import Image
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.synthesis import Chunk, VirtualSlide
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

#: Chunks in view above which nothing is made: the whole slide would be, by a zoom.
MOST_CHUNKS = 40
_GIB = 2**30


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
        self._lock = threading.Lock()
        self._wanted: list[Chunk] = []
        self._in_view: set[Chunk] = set()
        self.job: Job | None = None
        self.paused = False
        viewer = session.viewer
        viewer.scene.camera.events.center.connect(self._on_view)
        viewer.scene.camera.events.zoom.connect(self._on_view)
        viewer.layers.events.removed.connect(self._on_removed)

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
        return self._open is not None and len(self._visible(self._open)) > MOST_CHUNKS

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
        with self._lock:
            self._wanted = []
        if self.job is not None and self.job.running:
            self.job.cancel()
        self.changed.emit()

    def _prepare(self, state: SlideState) -> None:
        session, models = self._session, self._session.models
        synthesis, slide = session.synthesis, state.slide
        name, trust = synthesis.generator, synthesis.trust_remote_code
        settings = synthesis.sampling
        told = preference("storage", "virtual_gib")
        limit = int((float(told) if told else 2.0) * _GIB)

        def work(job: Job) -> tuple[VirtualLevels, EmbeddingStore]:
            from napari_pathfm.synthesis import ChunkFiles, VirtualSlide

            job.say("loading the generator")
            generator = models.generator(name, trust_remote_code=trust)
            encoder = models.encoder(generator.spec.encoder)
            job.say("")
            path = StoreKey.of(slide, encoder.spec).path(session.cache)
            store = models.embed(
                slide,
                encoder,
                path_for_run(path, encoder, slide),
                progress=job.report,
                cancelled=job.cancelled,
            )
            virtual = VirtualSlide(
                slide,
                store,
                generator,
                files=ChunkFiles(session.cache / "virtual", limit),
                on_step=lambda *_: not job.cancelled(),
                **settings,
            )
            return VirtualLevels(virtual), store

        self.paused = False
        self._run("Preparing the virtual slide", "tiles", work, state)

    def _run(self, title: str, unit: str, work: Any, state: SlideState) -> None:
        self.job = Job(title, unit)
        self.job.changed.connect(self.changed.emit)
        self.job.published.connect(lambda _: self._redraw())
        self._session.runner.start(work, self.job, lambda o: self._ended(state, o))
        self.changed.emit()

    def _ended(self, state: SlideState, outcome: Outcome) -> None:
        if outcome.error is not None:
            self.paused = True
            self._session.report(outcome.error)
        elif outcome.state == "cancelled":
            self.paused = True
        elif isinstance(outcome.value, tuple):
            if state.layer in self._session.viewer.layers:
                self._show(state, *outcome.value)
        else:
            self._redraw()
        # Somebody may have moved on while the last chunk was made.
        if outcome.state == "done":
            self._on_view()
        self.changed.emit()

    def _show(
        self, state: SlideState, levels: VirtualLevels, store: EmbeddingStore
    ) -> None:
        from napari.layers import Image

        from napari_pathfm.slides import grid_transform

        viewer, virtual = self._session.viewer, levels.virtual
        remove_layers(viewer, "virtual", state.fingerprint)
        scale, translate = grid_transform((0, 0), virtual.stride, state.mpp or 1.0)
        told = virtual.provenance
        layer = Image(
            levels.data,
            multiscale=True,
            rgb=True,
            name=f"Synthetic slide · {told.generator} · seed {told.seed}",
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
        )
        add_layer(viewer, layer)
        self._open = _Open(state, levels, layer)
        record_virtual(self._session, layer, virtual, state.slide, store)
        self._session.runner.soon(lambda: mark_synthetic(layer))

    # -- what is in view ---------------------------------------------------------------

    def _visible(self, own: _Open) -> list[Chunk]:
        """Chunks in view, the nearest to its middle first."""
        from napari_pathfm.synthesis import Chunk

        virtual = own.levels.virtual
        view = in_view(self._session.viewer, own.layer)
        if view is None or not own.layer.visible:
            return []
        side = virtual.chunk_px
        spans = []
        for axis in (0, 1):
            low, high = view[axis] // side, view[axis + 2] // side
            last = virtual.chunks[axis] - 1
            spans.append(range(max(0, int(low)), min(last, int(high)) + 1))
        middle = [(view[axis] + view[axis + 2]) / 2 / side - 0.5 for axis in (0, 1)]

        def away(chunk: Chunk) -> float:
            down, across = chunk.row - middle[0], chunk.column - middle[1]
            return float(down**2 + across**2)

        found = [Chunk(row, column) for row in spans[0] for column in spans[1]]
        return sorted(found, key=away)

    def _on_view(self) -> None:
        own = self._open
        if own is None:
            return
        visible = self._visible(own)
        if len(visible) > MOST_CHUNKS:
            visible = []
        virtual = own.levels.virtual
        todo = [c for c in visible if not (own.levels.has(c) or virtual.is_glass(c))]
        with self._lock:
            self._in_view, self._wanted = set(visible), todo
        if todo and not self.paused and not self.running:
            self._run("Synthesising", "chunks", self._worker(own), own.state)
        else:
            self.changed.emit()

    def _worker(self, own: _Open) -> Any:
        def work(job: Job) -> None:
            done = 0
            while (chunk := self._next()) is not None and not job.cancelled():
                with self._lock:
                    left = len(self._wanted)
                job.report(done, done + left + 1)
                pixels = self._made(own.levels.virtual, chunk, job)
                if pixels is not None:
                    own.levels.put(chunk, pixels)
                    done += 1
                    job.publish(chunk)

        return work

    def _next(self) -> Chunk | None:
        with self._lock:
            return self._wanted.pop(0) if self._wanted else None

    def _made(
        self, virtual: VirtualSlide, chunk: Chunk, job: Job
    ) -> NDArray[np.uint8] | None:
        """Make a chunk, unless the view leaves it meanwhile."""

        def go_on(*_step: object) -> bool:
            with self._lock:
                return chunk in self._in_view and not job.cancelled()

        try:
            return virtual.make(chunk, go_on)
        except Cancelled:
            if job.cancelled():
                raise
            return None

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
