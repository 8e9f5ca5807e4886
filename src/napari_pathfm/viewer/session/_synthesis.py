"""A click becomes tissue: generate in a worker, show it forming, place it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from psygnal import Signal

from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._request import Request
from napari_pathfm.viewer.session._script_record import record_made
from napari_pathfm.viewer.session._synthetic_layers import (
    mark_synthetic,
    remove_preview,
    show_preview,
    show_synthetic,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from napari.layers import Layer
    from numpy.typing import NDArray

    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis import PlacedImages
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

    Point = tuple[float, float]
    Origin = Literal["last", "mean", "none"]


class Synthesis:
    """Generation at a place of the current slide.

    Attributes
    ----------
    n, seed : int
        Variants, and the seed of the first.
    frames : int
        Of a walk, both ends included.
    steps, guidance : int, float
        Of the sampler.
    origin : {"last", "mean", "none"}
        What variants are conditioned on: the place alone, the mean of it and all places
        clicked to be like, or nothing.
    trust_remote_code : bool
        Whether the person agrees now to run code that the generator's repository
        brings; an answer given before holds for that code without it.
    job : Job or None
        The latest run.
    """

    changed = Signal()
    cursor_changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._generator = "bundled"
        self._preset = "paper"
        self._cursor: Point | None = None
        self.n = 4
        self.seed = 0
        self.frames = 9
        self.origin: Origin = "last"
        self.steps = 25
        self.guidance = 1.5
        self.trust_remote_code = False
        self.job: Job | None = None
        self._latest: tuple[PlacedImages, Layer] | None = None
        self.generator = "bundled"
        session.viewer.cursor.events.position.connect(self._on_cursor)
        session.viewer.layers.events.inserted.connect(self._on_layer)
        session.viewer.layers.events.removed.connect(self._on_layer)

    def close(self) -> None:
        """Let go of the viewer."""
        viewer = self._session.viewer
        viewer.cursor.events.position.disconnect(self._on_cursor)
        viewer.layers.events.inserted.disconnect(self._on_layer)
        viewer.layers.events.removed.disconnect(self._on_layer)

    @property
    def result(self) -> PlacedImages | None:
        """The latest tissue, while its layer is there: figures are of what is seen."""
        if self._latest is None or self._latest[1] not in self._session.viewer.layers:
            return None
        return self._latest[0]

    # -- settings ----------------------------------------------------------------------

    @property
    def generator(self) -> str:
        """Name of the generator; setting it takes over its own steps and guidance."""
        return self._generator

    @generator.setter
    def generator(self, name: str) -> None:
        self._generator = name
        spec = self._session.models.generator_spec(name)
        if spec is not None:
            self.guidance = spec.guidance
        self.preset = self._preset

    @property
    def preset(self) -> str:
        """``"paper"`` or ``"fast"``: the sampler; setting it takes over its steps."""
        return self._preset

    @preset.setter
    def preset(self, name: str) -> None:
        self._preset = name
        spec = self._session.models.generator_spec(self._generator)
        if spec is not None:
            self.steps = spec.fast[1] if name == "fast" else spec.steps
        self.changed.emit()

    @property
    def target(self) -> Point | None:
        """Where the button generates: the last place clicked to be like, level-0."""
        state = self._session.current
        if state is None:
            return None
        likes = state.prompts.points("like")
        return likes[-1] if likes else None

    @property
    def walk_ends(self) -> tuple[Point, Point] | None:
        """The last two places clicked to be like, level-0; None with fewer."""
        state = self._session.current
        likes = [] if state is None else state.prompts.points("like")
        return (likes[-2], likes[-1]) if len(likes) > 1 else None

    @property
    def sampling(self) -> dict[str, Any]:
        """How the generator samples, by the keywords of `synthesis`."""
        return {
            "seed": self.seed,
            "steps": self.steps,
            "guidance": self.guidance,
            "preset": self._preset,
        }

    @property
    def running(self) -> bool:
        """Whether tissue is being generated."""
        return self.job is not None and self.job.running

    # -- work --------------------------------------------------------------------------

    def generate_here(self) -> None:
        """Generate under the mouse if it is over the slide, else at the last click."""
        state, place = self._session.current, self._cursor
        over = self._session.viewer.mouse_over_canvas
        if state is None or place is None or not over:
            self.generate()
        elif state.mpp is None or state.contains(*place):
            self.generate_at(*place)
        else:
            self.generate()

    def generate(self) -> None:
        """Generate at the last place clicked to be like."""
        target = self.target
        if target is None:
            self._session.say("Click tissue first, or point at it and press G.")
        else:
            self.generate_at(*target)

    def generate_at(self, x: float, y: float) -> None:
        """Generate variants at a level-0 place of the current slide."""
        state = self.ready((x, y))
        if state is None:
            return
        conditional, points = self.origin != "none", [(x, y)]
        if self.origin == "mean":
            points += [p for p in state.prompts.points("like") if p != (x, y)]
        settings: dict[str, Any] = {"n": self.n, "conditional": conditional}
        if not conditional:
            # There is nothing to be guided to.
            settings["guidance"] = None
        request = Request("vary", (points,), settings)
        tissue = points if conditional else []
        self.run("Generating tissue", request, state, (x, y), tissue)

    def walk(self) -> None:
        """Generate what lies between the last two places clicked to be like."""
        ends = self.walk_ends
        if ends is None:
            self._session.say("Click two places: the walk goes from one to the other.")
            return
        start, end = ends
        state = self.ready(start, end)
        if state is None:
            return
        request = Request("walk", (start, end), {"frames": self.frames})
        self.run("Walking", request, state, start, ends)

    def ready(self, *places: Point) -> SlideState | None:
        """Give the current slide if work at places of it makes sense, or say no."""
        state = self._session.current
        if self.running:
            self._session.say("Still generating: wait, or cancel.")
            return None
        if state is None:
            return None
        for place in places:
            if self._session.ready_at(state.world(*place)) is None:
                return None
        return state

    def run(
        self,
        title: str,
        request: Request,
        state: SlideState,
        place: Point,
        tissue: Sequence[Point] = (),
    ) -> None:
        """Have a worker load both models and carry out what is asked.

        Before it does, places that must be tissue are looked at.
        """
        models, name = self._session.models, self._generator
        spec, slide = models.generator_spec(name), state.slide
        trust = self.trust_remote_code
        request = replace(request, settings=self.sampling | request.settings)

        def work(job: Job) -> PlacedImages:
            if tissue and spec is not None:
                models.check_places(slide, tissue, spec)
            job.say("loading the generator")
            generator = models.generator(name, trust_remote_code=trust)
            encoder = models.encoder(generator.spec.encoder)
            job.say("")

            def on_step(
                step: int, total: int, preview: NDArray[np.uint8] | None
            ) -> bool:
                job.report(step, total)
                if preview is not None:
                    job.publish(preview)
                return not job.cancelled()

            return request.carry_out(models, slide, generator, encoder, on_step)

        self._session.say("")
        self.job = Job(title, "steps")
        self.job.published.connect(lambda pixels: self._preview(state, place, pixels))
        self.job.changed.connect(self.changed.emit)
        asked = name, slide, request
        self._session.runner.start(
            work, self.job, lambda o: self._ended(state, asked, o)
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Stop generating after the step that is being done; nothing is kept."""
        if self.job is not None and self.job.running:
            self.job.cancel()

    def _preview(self, state: SlideState, place: Point, pixels: Any) -> None:
        spec = self._session.models.generator_spec(self._generator)
        if spec is None or state.layer not in self._session.viewer.layers:
            return
        side = spec.tile_px * state.slide.sampling(spec.mpp).downsample
        show_preview(self._session.viewer, state, place, side, pixels)

    def _ended(
        self, state: SlideState, asked: tuple[str, Slide, Request], outcome: Outcome
    ) -> None:
        viewer, soon = self._session.viewer, self._session.runner.soon
        if outcome.state == "done" and state.layer in viewer.layers:
            layer = show_synthetic(viewer, state, outcome.value)
            self._latest = outcome.value, layer
            record_made(self._session, layer, asked, outcome.value)
            soon(lambda: mark_synthetic(layer))
        elif outcome.error is not None:
            self._session.report(outcome.error)
        elif outcome.state == "cancelled":
            self._session.say("Stopped. Nothing was kept.")
        # Adding a layer, decorating and removing one take napari a while each: not in
        # one go.
        soon(lambda: soon(lambda: remove_preview(viewer, state)))
        self.changed.emit()

    def _on_layer(self, event: Any) -> None:
        if self._latest is not None and event.value is self._latest[1]:
            self.changed.emit()

    def _on_cursor(self) -> None:
        state = self._session.current
        position = self._session.viewer.cursor.position
        self._cursor = None if state is None else state.level0(tuple(position))
        self.cursor_changed.emit()
