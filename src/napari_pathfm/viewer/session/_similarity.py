"""A click becomes a heatmap: embed what must be, compare, draw into one layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.viewer._metadata import layers_of
from napari_pathfm.viewer.session._filling import Filling, Partial, focus_of
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_similarity
from napari_pathfm.viewer.session._slide_layers import remove_layers, show_heatmap
from napari_pathfm.viewer.session._store_files import StoreKey, key_of

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Heatmap, UnitVectors
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


class Similarity:
    """The similarity map of the current slide.

    One job at a time answers all: it embeds if it must, and compares. A click during a
    run moves the run to that place; a click at its end starts another.
    """

    changed = Signal()
    #: More of a slide is embedded, or all of it.
    advanced = Signal(object)

    def __init__(self, session: Session) -> None:
        self._session = session
        self._encoder = session.models.default_encoder()
        self._overlap = 1
        self._filling: Filling | None = None
        self._again = False
        self._stores: dict[StoreKey, EmbeddingStore] = {}
        # Of one slide at a time: a million tiles are 1.5 GB.
        self._vectors: tuple[StoreKey, UnitVectors] | None = None
        self._whole: set[SlideState] = set()
        self._heatmaps: dict[SlideState, Heatmap] = {}
        self.job: Job | None = None

    # -- settings ----------------------------------------------------------------------

    @property
    def encoder(self) -> str:
        """Name of the encoder in the catalogue."""
        return self._encoder

    @encoder.setter
    def encoder(self, name: str) -> None:
        if name != self._encoder:
            self._encoder = name
            self.changed.emit()
            self.refresh()

    @property
    def overlap(self) -> int:
        """Tiles per tile's side."""
        return self._overlap

    @overlap.setter
    def overlap(self, overlap: int) -> None:
        if overlap != self._overlap:
            self._overlap = overlap
            self.changed.emit()
            self.refresh()

    @property
    def store_path(self) -> Path | None:
        """Where the current slide's embeddings are, or will be."""
        key = self._key(self._session.current)
        return None if key is None else self.path_of(key)

    @property
    def layer(self) -> Image | None:
        """The current slide's heatmap layer."""
        state = self._session.current
        if state is None:
            return None
        found = layers_of(self._session.viewer.layers, "heatmap", state.fingerprint)
        return found[0] if found else None

    def path_of(self, key: StoreKey) -> Path:
        """Tell where embeddings are, or will be: a given store, or one of our own."""
        known = self._stores.get(key)
        return key.path(self._session.cache) if known is None else known.path

    # -- work --------------------------------------------------------------------------

    def refresh(self) -> None:
        """Bring the heatmap up to the prompts and settings of the current slide."""
        state = self._session.current
        key = self._key(state)
        if state is None or key is None:
            return
        if not state.has_like:
            if self._filling is not None and self._filling.state is state:
                self._filling.focus = None
            self._drop(state)
            if state.prompts or state.regions:
                self._session.say("Click tissue that the map should be like, too.")
            if state not in self._whole or key in self._stores:
                return
        if self._filling is not None and self.job is not None and self.job.running:
            self._again = True
            if self._filling.key == key:
                self._filling.focus = focus_of(state)
            else:
                self.job.cancel()
            return
        self._start(state, key)

    def embed(self, state: SlideState) -> None:
        """Have all of a slide embedded, whether it has prompts or not."""
        self._whole.add(state)
        if self._filling is not None and self._filling.state is state:
            self._filling.whole = True
        if state is self._session.current:
            self.refresh()

    def use(self, state: SlideState, store: EmbeddingStore) -> None:
        """Answer for a slide from a store that a person brings; the settings follow it.

        Raises
        ------
        StoreError
            It is of another slide or pixel size, by an encoder that is not in the
            catalogue, or of tiles that this panel has no step for.
        """
        key = key_of(store, state.slide, self._session.models)
        self._stores[key] = store
        if self._vectors is not None and self._vectors[0] == key:
            self._vectors = None
        self._encoder, self._overlap = key.encoder, key.overlap
        self.changed.emit()
        self.refresh()

    def store(self, state: SlideState) -> EmbeddingStore | None:
        """Give a slide's embeddings as far as they are, or None.

        Raises
        ------
        StoreError
            What is being written cannot be read.
        """
        from napari_pathfm.embeddings import open_store

        key = self._key(state)
        if key in self._stores:
            return self._stores[key]
        filling = self._filling
        if filling is None or filling.state is not state or filling.key != key:
            return None
        return None if filling.writing is None else open_store(filling.writing)

    def vectors(self, state: SlideState) -> UnitVectors | None:
        """Give a slide's vectors if all of them are in memory."""
        known = self._vectors
        return known[1] if known is not None and known[0] == self._key(state) else None

    def heatmap(self, state: SlideState) -> Heatmap | None:
        """Give the map that is drawn on a slide, or None."""
        return self._heatmaps.get(state)

    def cancel(self) -> None:
        """Stop embedding; what is on disk stays, and the map shows it."""
        self._again = False
        self._whole.clear()
        if self.job is not None and self.job.running:
            self.job.cancel()

    def forget(self, state: SlideState) -> None:
        """Stop what is going on for a slide and take its heatmap away."""
        self._session.script.drop(f"store {state.fingerprint}")
        if self._filling is not None and self._filling.state is state:
            self.cancel()
            self._filling = None
        self._drop(state)

    def _key(self, state: SlideState | None) -> StoreKey | None:
        if state is None or state.mpp is None:
            return None
        spec = self._session.models.encoder_spec(self._encoder)
        return StoreKey.of(state.slide, spec, self._overlap)

    def _start(self, state: SlideState, key: StoreKey) -> None:
        self._again = False
        filling = Filling(
            state,
            key,
            key.path(self._session.cache),
            self._session.models,
            self._stores.get(key),
            whole=state in self._whole,
        )
        filling.vectors = self.vectors(state)
        job = Job("Embedding tissue", "tiles")
        self._filling, self.job = filling, job

        def ended(outcome: Outcome) -> None:
            self._ended(filling, outcome)

        job.published.connect(lambda partial: self._published(filling, partial))
        job.changed.connect(self.changed.emit)
        self._session.runner.start(filling.run, job, ended)
        self.changed.emit()

    def _drop(self, state: SlideState) -> None:
        if self._heatmaps.pop(state, None) is not None:
            self.changed.emit()
        remove_layers(self._session.viewer, "heatmap", state.fingerprint)

    def _published(self, filling: Filling, partial: Partial) -> None:
        self._show(filling, partial)
        self.advanced.emit(filling.state)

    def _ended(self, filling: Filling, outcome: Outcome) -> None:
        if filling is not self._filling:
            # The slide was closed, or its pixel size changed.
            return
        self._filling = None
        state, viewer = filling.state, self._session.viewer
        if outcome.state == "done":
            if filling.store is not None:
                self._stores[filling.key] = filling.store
            if filling.vectors is not None:
                self._vectors = filling.key, filling.vectors
            self._show(filling, outcome.value)
            if filling.store is not None and state.layer in viewer.layers:
                record_similarity(self._session, state, filling.store, outcome.value)
        else:
            # What is drawn is of a part of the slide, if of anything.
            self._session.script.drop(f"likeness {state.fingerprint}")
        if outcome.error is not None:
            self._session.report(outcome.error)
        elif outcome.state == "cancelled" and not self._again:
            self._session.say("Stopped. What is embedded is kept; click to go on.")
        current = self._session.current
        if self._again and current is not None:
            self._again = False
            self.refresh()
        self.changed.emit()
        self.advanced.emit(filling.state)

    def _show(self, filling: Filling, partial: Partial) -> None:
        state = filling.state
        if filling.state.layer not in self._session.viewer.layers:
            return
        if partial.empty:
            self._session.say("There is no tissue in a drawn region.")
        if partial.misplaced:
            self._session.say("There is no tissue at that place.")
            state.prompts.remove(partial.misplaced)
        if partial.heatmap is not None and state.has_like:
            self._heatmaps[state] = partial.heatmap
            new = self.layer is None
            layer = show_heatmap(self._session.viewer, state, partial.heatmap)
            if new:
                # As much work again for napari as the layer itself: not in one go.
                self._session.runner.soon(lambda: _show_colorbar(layer))
            self.changed.emit()


def _show_colorbar(layer: Image) -> None:
    layer.colorbar.visible = True
