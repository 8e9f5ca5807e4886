"""The fine heatmap of the current slide: patches of what is in view, as it moves."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session._fine_work import Aim, FineWork
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._shown import in_view
from napari_pathfm.viewer.session._slide_layers import remove_layers, show_heatmap
from napari_pathfm.viewer.session._store_files import StoreKey, finished_store

if TYPE_CHECKING:
    from napari.layers import Image

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide
    from napari_pathfm.viewer.session._fine_work import Fill
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Encoding begins when the view has stood still for so long (as reading ahead does).
_STILL_S = 0.15


class Fine:
    """Similarity patch by patch, in the part of the current slide that is in view.

    Attributes
    ----------
    job : Job or None
        Encoding what is in view.
    note : str
        How far it is, or what to do, in a few words.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._on = False
        self._work: FineWork | None = None
        self._aimed: Aim | None = None
        # Tile heatmaps that were hidden for the finer one, by slide.
        self._veiled: dict[SlideState, Image] = {}
        self._near = False
        self.job: Job | None = None
        self.note = ""
        camera = session.viewer.scene.camera
        camera.events.center.connect(self._on_view)
        camera.events.zoom.connect(self._on_view)
        session.slide_changed.connect(self.refresh)
        session.prompts_changed.connect(self.refresh)
        session.regions.changed.connect(self.refresh)
        session.similarity.changed.connect(self._on_similarity)

    def close(self) -> None:
        """Let go of the viewer."""
        session, camera = self._session, self._session.viewer.scene.camera
        camera.events.center.disconnect(self._on_view)
        camera.events.zoom.disconnect(self._on_view)
        session.slide_changed.disconnect(self.refresh)
        session.prompts_changed.disconnect(self.refresh)
        session.regions.changed.disconnect(self.refresh)
        session.similarity.changed.disconnect(self._on_similarity)
        self._on = False
        self._stop()

    @property
    def on(self) -> bool:
        """Whether what is in view is compared patch by patch."""
        return self._on

    @on.setter
    def on(self, on: bool) -> None:
        if on == self._on:
            return
        self._on = on
        if on:
            self.refresh()
        else:
            self._stop()
            for state in self._session.states():
                self._take_away(state)
            if self._work is not None:
                self._work.keep(lambda state: False)
        self.changed.emit()

    @property
    def cell_um(self) -> float:
        """Micrometres along a cell of the map."""
        session = self._session
        spec = session.models.encoder_spec(session.similarity.encoder)
        return float(spec.patch_px * spec.mpp)

    @property
    def layer(self) -> Image | None:
        """The current slide's fine heatmap layer."""
        state = self._session.current
        return None if state is None else self._layer(state)

    def refresh(self) -> None:
        """Bring the map up to prompts, encoder and slide, without waiting."""
        self._aim(0.0)

    def forget(self, state: SlideState) -> None:
        """Stop what is going on for a slide, and let go of all that is kept of it."""
        if self._aimed is not None and self._aimed.state is state:
            self._stop()
        self._take_away(state)
        self._keep_open()

    def _on_view(self) -> None:
        self._aim(_STILL_S)

    def _on_similarity(self) -> None:
        state = self._session.current
        # The tile map may come after the finer one.
        if state is not None and self._near and self._layer(state) is not None:
            self._veil(state, True)
        self.refresh()

    def _aim(self, still: float) -> None:
        session, state = self._session, self._session.current
        if not self._on or state is None or state.mpp is None:
            return
        if not state.has_like:
            self._stop()
            self._take_away(state)
            return
        view = self._view(state)
        if view is None:
            return
        aim = Aim(
            state,
            state.slide,
            session.similarity.encoder,
            view,
            _places(state, "like"),
            _places(state, "unlike"),
            time.monotonic() + still,
        )
        if aim == self._aimed:
            return
        self._aimed = aim
        if self._work is None:
            self._work = FineWork(session.models, self._store)
        self._work.aim(aim)
        if self.job is None or not self.job.running:
            self._start(self._work)

    def _store(self, slide: Slide, encoder: Encoder) -> EmbeddingStore | None:
        """Give the embeddings of a slide if they are complete; in a worker."""
        similarity = self._session.similarity
        key = StoreKey.of(slide, encoder.spec, similarity.overlap)
        return finished_store(similarity.path_of(key), encoder, slide)

    def _view(self, state: SlideState) -> tuple[float, float, float, float] | None:
        """Give what of a slide is in view, in level-0 pixels, or None."""
        view = in_view(self._session.viewer, state.layer)
        if view is None or not state.layer.visible:
            return None
        width, height = state.slide.dimensions
        # A layer's pixel has its centre where it is counted, a slide's its corner.
        top, left, bottom, right = (at + 0.5 for at in view)
        left, right = max(0.0, left), min(float(width), right)
        top, bottom = max(0.0, top), min(float(height), bottom)
        if left >= right or top >= bottom:
            return None
        return left, top, right - left, bottom - top

    def _start(self, work: FineWork) -> None:
        job = Job("Encoding patches", "tiles")
        self.job = job
        job.changed.connect(self._tell)
        job.published.connect(self._show)
        self._session.runner.start(work.run, job, lambda o: self._ended(job, o))

    def _stop(self) -> None:
        self._aimed = None
        if self._work is not None:
            self._work.aim(None)
        if self.job is not None and self.job.running:
            self.job.cancel()
        self._say("")

    def _ended(self, job: Job, outcome: Outcome) -> None:
        self._keep_open()
        if outcome.error is not None:
            self.on = False
            self._session.report(outcome.error)
        elif self._work is not None and self._work.pending:
            # Somebody moved on while it ended.
            self._start(self._work)

    def _keep_open(self) -> None:
        """Let go of the patches of slides that were closed."""
        if self._work is not None:
            layers = self._session.viewer.layers
            self._work.keep(lambda state: self._on and state.layer in layers)

    # -- what is shown -----------------------------------------------------------------

    def _tell(self) -> None:
        if self.job is not None and self.job.note and self._aimed is not None:
            self._say(self.job.note)

    def _show(self, fill: Fill) -> None:
        state, aimed = fill.aim.state, self._aimed
        # Another view than is wanted by now is still worth showing; nothing else is.
        if aimed is None or replace(fill.aim, view=aimed.view) != aimed:
            return
        if fill.too_far:
            self._say(f"zoom in: {fill.tiles:,} tiles in view")
        elif fill.left:
            self._say(f"{fill.tiles - fill.left} of {fill.tiles} tiles")
        else:
            self._say("")
        heatmap = fill.heatmap
        layer = self._layer(state)
        if heatmap is None or not heatmap.values.size:
            return
        if layer is None and np.isnan(heatmap.values).all():
            return
        if layer is not None and (entry(layer) or {}).get("name") != heatmap.name:
            # Another encoder's patches may have another size, which is in the name.
            remove_layers(self._session.viewer, "fine", state.fingerprint)
            layer = None
        shown = show_heatmap(self._session.viewer, state, heatmap, "fine")
        if layer is None:
            self._session.runner.soon(lambda: _show_colorbar(shown))
        self._near = not fill.too_far
        self._veil(state, self._near)
        self.changed.emit()

    def _layer(self, state: SlideState) -> Image | None:
        found = layers_of(self._session.viewer.layers, "fine", state.fingerprint)
        return found[0] if found else None

    def _veil(self, state: SlideState, on: bool) -> None:
        """Hide the tile map below the finer one; two of them hide the tissue.

        Whoever shows it again meanwhile has both.
        """
        layers = self._session.viewer.layers
        tiles = layers_of(layers, "heatmap", state.fingerprint)
        veiled = self._veiled.get(state)
        if on and tiles and veiled is not tiles[0] and tiles[0].visible:
            self._veiled[state] = tiles[0]
            tiles[0].visible = False
        elif not on and veiled is not None:
            del self._veiled[state]
            if veiled in layers:
                veiled.visible = True

    def _take_away(self, state: SlideState) -> None:
        self._veil(state, False)
        remove_layers(self._session.viewer, "fine", state.fingerprint)

    def _say(self, note: str) -> None:
        if note != self.note:
            self.note = note
            self.changed.emit()


def _places(state: SlideState, role: Any) -> tuple[Any, ...]:
    region = state.regions.get(role)
    drawn = () if region is None else (region,)
    return (*state.prompts.points(role), *drawn)


def _show_colorbar(layer: Image) -> None:
    layer.colorbar.visible = True
