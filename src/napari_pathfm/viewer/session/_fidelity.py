"""What on the slide is like the synthetic tile that is shown, and is it a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import record_trust
from napari_pathfm.viewer.session._store_files import StoreKey, path_for_run

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis import PlacedImages, Trust
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session


class Fidelity:
    """A comparison of one image of the latest result with its slide.

    Attributes
    ----------
    trust : Trust or None
        What came of it.
    step : int
        Which image of the result it is of.
    job : Job or None
        The latest run.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._of: PlacedImages | None = None
        self.trust: Trust | None = None
        self.step = 0
        self.job: Job | None = None
        session.synthesis.changed.connect(self._on_synthesis)

    @property
    def possible(self) -> bool:
        """Whether the latest result is of single tiles of the current slide."""
        result, state = self._session.synthesis.result, self._session.current
        if result is None or state is None:
            return False
        told = result.images[0].provenance
        single = told.action in ("vary", "walk", "steer")
        return single and result.slide_fingerprint == state.fingerprint

    @property
    def running(self) -> bool:
        """Whether it is being compared."""
        return self.job is not None and self.job.running

    def begin(self) -> None:
        """Compare the image that the slider shows; embeds the slide if that lacks."""
        session, state = self._session, self._session.current
        result = session.synthesis.result
        if not self.possible or self.running or result is None or state is None:
            return
        step = int(session.viewer.dims.current_step[0])
        step = step if step < len(result.images) else 0
        image, slide, models = result.images[step], state.slide, session.models
        spec = models.generator_spec(image.provenance.generator)
        if spec is None:
            return

        def work(job: Job) -> tuple[Trust, EmbeddingStore, Encoder | None]:
            job.say("loading the encoder")
            encoder = models.encoder(spec.encoder)
            second = models.second_encoder(spec.encoder)
            job.say("")
            path = StoreKey.of(slide, encoder.spec).path(session.cache)
            store = models.embed(
                slide,
                encoder,
                path_for_run(path, encoder, slide),
                progress=job.report,
                cancelled=job.cancelled,
            )
            job.say("comparing")
            compared = models.trust(image, slide, store, encoder, spec, second=second)
            return compared, store, second

        self._of, self.step, self.trust = result, step, None
        self.job = Job("Comparing with the slide", "tiles")
        self.job.changed.connect(self.changed.emit)
        session.runner.start(work, self.job, lambda o: self._ended(slide, o))
        self.changed.emit()

    def cancel(self) -> None:
        """Stop embedding; what is done stays."""
        if self.job is not None and self.job.running:
            self.job.cancel()

    def go(self, index: int) -> None:
        """Move the view to one of the real tiles that are like it."""
        state = self._session.current
        if self.trust is None or state is None or index >= len(self.trust.nearest):
            return
        found = self.trust.nearest[index]
        camera = self._session.viewer.scene.camera
        camera.center = (0.0, *state.world(found.x, found.y))

    def _ended(self, slide: Slide, outcome: Outcome) -> None:
        if outcome.error is not None:
            self._session.report(outcome.error)
        elif outcome.state == "done" and self._of is self._session.synthesis.result:
            self.trust, store, second = outcome.value
            if self._of is not None:
                record_trust(self._session, self._of, self.step, slide, store, second)
        self.changed.emit()

    def _on_synthesis(self) -> None:
        if self._of is not None and self._of is not self._session.synthesis.result:
            self._of = self.trust = None
        self.changed.emit()
