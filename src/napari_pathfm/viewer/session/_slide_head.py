"""What a slide-level head says of the current slide, and where it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.errors import StoreError
from napari_pathfm.viewer._metadata import KEY, entry
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_head
from napari_pathfm.viewer.session._slide_layers import HEATMAP_COLORMAP, add_layer
from napari_pathfm.viewer.session._store_files import StoreKey, path_for_run

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Heatmap
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


class SlideHead:
    """A head from a file, used on the current slide.

    Attributes
    ----------
    prediction : dict
        The latest: class to probability, of `slide`.
    slide : str
        Fingerprint of the slide that it is of.
    networks : int
        How many were averaged.
    job : Job or None
        The latest run.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self.prediction: dict[str, float] = {}
        self.slide = ""
        self.networks = 0
        self.job: Job | None = None

    @property
    def running(self) -> bool:
        """Whether a slide is being looked at."""
        return self.job is not None and self.job.running

    def use(self, path: Path) -> None:
        """Show where a head looks, and what it says; embeds the slide if that lacks."""
        session, state = self._session, self._session.current
        if state is None or self.running:
            return
        if state.mpp is None:
            session.say("Enter the slide's pixel size first.")
            return
        slide, models = state.slide, session.models

        def work(job: Job) -> tuple[list[Heatmap], int, EmbeddingStore]:
            from napari_pathfm.evaluation import load_head
            from napari_pathfm.heatmaps import attention

            models.prepare_models()
            head = load_head(path)
            told = head.provenance.get("features", {})
            name = str(told.get("encoder"))
            if name not in {choice.name for choice in models.encoder_choices()}:
                raise StoreError(
                    f"{path.name} learned from the encoder {name[:40]!r}, which is not "
                    "in the catalogue"
                )
            job.say("loading the encoder")
            encoder = models.encoder(name)
            job.say("")
            store = models.embed(
                slide,
                encoder,
                path_for_run(
                    StoreKey.of(slide, encoder.spec).path(session.cache), encoder, slide
                ),
                progress=job.report,
                cancelled=job.cancelled,
            )
            return attention(store, head), len(head.networks), store

        self.job = Job("Asking the head", "tiles")
        self.job.changed.connect(self.changed.emit)
        session.runner.start(work, self.job, lambda o: self._ended(state, path, o))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop embedding; what is done stays."""
        if self.job is not None and self.job.running:
            self.job.cancel()

    def _ended(self, state: SlideState, path: Path, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._session.report(outcome.error)
        elif outcome.state == "done" and state.layer in self._session.viewer.layers:
            maps, self.networks, store = outcome.value
            self.prediction = dict(maps[0].provenance["prediction"])
            self.slide = state.fingerprint
            shown = [
                (self._show(state, heatmap, visible=number == 0), heatmap)
                for number, heatmap in enumerate(maps)
            ]
            record_head(self._session, state.slide, store, path, shown)
        self.changed.emit()

    def _show(self, state: SlideState, heatmap: Heatmap, *, visible: bool) -> Image:
        """Lay a map over the slide, in place of the one of that name."""
        from napari.layers import Image

        viewer = self._session.viewer
        data, keywords, _ = heatmap.to_layer()
        keywords["metadata"][KEY] |= {
            "kind": "map",
            "path": str(state.slide.path),
            "fingerprint": state.fingerprint,
            "mpp": state.mpp,
        }
        name = f"Head: {heatmap.name}"
        for layer in list(viewer.layers):
            own = entry(layer) or {}
            if layer.name == name and own.get("fingerprint") == state.fingerprint:
                viewer.layers.remove(layer)
        keywords |= {"name": name, "colormap": HEATMAP_COLORMAP, "visible": visible}
        layer = Image(data, **keywords)
        add_layer(viewer, layer)
        if visible:
            self._session.runner.soon(lambda: _show_colorbar(layer))
        return layer


def _show_colorbar(layer: Image) -> None:
    layer.colorbar.visible = True
