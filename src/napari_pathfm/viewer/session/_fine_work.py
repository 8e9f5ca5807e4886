"""The work behind the fine heatmap, as one worker does it: patches where one looks."""

from __future__ import annotations

import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from napari_pathfm.errors import Cancelled, OutsideSlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.heatmaps import FineSimilarity, Heatmap, PatchVectors
    from napari_pathfm.slides import Slide
    from napari_pathfm.viewer.session._jobs import Job
    from napari_pathfm.viewer.session._models import Models
    from napari_pathfm.viewer.session._slide_state import SlideState

    Places = tuple[tuple[float, float] | BaseGeometry, ...]

#: Tiles in view above which nothing is encoded: it would take a minute and more.
MOST_TILES = 400
# Encoded together: a few keep a processor busy, and a view that moves is heard between.
_BATCH = 4
# How much around the view is drawn too where it is known, in views: a short way aside
# shows what was there before.
_AROUND = 0.5
# Tiles along the side of the largest map: of all that is known around the view's middle
# where a whole slide is in view.
_MOST_SIDE = 128
# A map that fills in is drawn again at most this often, as the tile map is.
_REDRAW_S = 0.25
# How long at most a wait for the view to rest is deaf to being cancelled.
_LISTEN_S = 0.1


@dataclass(frozen=True)
class Aim:
    """What is wanted: a view of a slide, compared with places.

    Attributes
    ----------
    state : SlideState
        Which slide.
    slide : Slide
        Its pixels; another pixel size makes another.
    encoder : str
        Name in the catalogue.
    view : (x, y, width, height)
        Level-0 pixels.
    like, unlike : tuple of places
    not_before : float
        `time.monotonic()` at which the view has stood still for long enough.
    """

    state: SlideState
    slide: Slide
    encoder: str
    view: tuple[float, float, float, float]
    like: Places
    unlike: Places
    not_before: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class Fill:
    """How far a view is.

    Attributes
    ----------
    aim : Aim
        What was wanted.
    heatmap : Heatmap or None
        What is known; None where no prompt lies on tissue.
    tiles : int
        Tissue tiles in view.
    left : int
        Those that are not encoded yet.
    """

    aim: Aim
    heatmap: Heatmap | None
    tiles: int
    left: int

    @property
    def too_far(self) -> bool:
        """Whether so much is in view that nothing is encoded."""
        return self.tiles > MOST_TILES


class FineWork:
    """Encodes what is aimed at, and aims anew when it must; `run` is for a worker.

    Parameters
    ----------
    models : Models
        Where encoders come from.
    store_of : callable
        Gives a slide's finished store by an encoder, or None: if it was embedded with
        patch tokens these are taken in place of encoding.
    """

    def __init__(
        self,
        models: Models,
        store_of: Callable[[Slide, Encoder], EmbeddingStore | None],
    ) -> None:
        from napari_pathfm.heatmaps import PatchCache

        self._models = models
        self._store_of = store_of
        self._condition = threading.Condition()
        self._aim: Aim | None = None
        self._cache = PatchCache()
        self._sources: dict[SlideState, tuple[Slide, str, PatchVectors]] = {}
        self._similarity: tuple[Any, FineSimilarity] | None = None

    # -- for the thread that watches ---------------------------------------------------

    def aim(self, aim: Aim | None) -> None:
        """Want something else from now on."""
        with self._condition:
            self._aim = aim
            self._condition.notify()

    @property
    def pending(self) -> bool:
        """Whether something is wanted that nobody has begun."""
        return self._aim is not None

    def keep(self, wanted: Callable[[SlideState], bool]) -> None:
        """Let go of the patches of all other slides."""
        for state in [state for state in list(self._sources) if not wanted(state)]:
            self._sources.pop(state)[2].close()
            self._similarity = None

    # -- for the worker ----------------------------------------------------------------

    def run(self, job: Job) -> None:
        """Do what is wanted until nothing is.

        Raises
        ------
        PathfmError
            What encoding may meet.
        Cancelled
            The job was.
        """
        while (aim := self._next(job)) is not None:
            try:
                self._fill(job, aim)
            except Cancelled:
                if job.cancelled():
                    raise

    def _next(self, job: Job) -> Aim | None:
        """Wait until the view rests, and take what is wanted then."""
        with self._condition:
            while self._aim is not None:
                if job.cancelled():
                    raise Cancelled("stopped before the view stood still")
                wait = self._aim.not_before - time.monotonic()
                if wait <= 0:
                    aim, self._aim = self._aim, None
                    return aim
                self._condition.wait(min(wait, _LISTEN_S))
            return None

    def _fill(self, job: Job, aim: Aim) -> None:
        def stop() -> bool:
            return job.cancelled() or self.pending

        patches = self._source(job, aim)
        x, y, width, height = aim.view
        middle = (x + width / 2, y + height / 2)
        rows = patches.rows_in(patches.cells_in(aim.view), near=middle)
        fine = self._compared(aim, patches, stop)
        if fine is None:
            job.publish(Fill(aim, None, len(rows), 0))
            return
        shown = patches.cells_in(_around(aim.view, _MOST_SIDE * patches.grid.stride))
        fine.recall(patches.rows_in(shown))
        wanted = [
            row
            for row in rows.tolist()
            if not fine.has(row) and row not in patches.failed
        ]

        def tell(left: int) -> None:
            job.report(len(rows) - left, len(rows))
            job.publish(Fill(aim, fine.heatmap(shown), len(rows), left))

        tell(len(wanted))
        if len(rows) > MOST_TILES or not wanted:
            return
        told = time.monotonic()
        loading = patches.load(wanted, batch=_BATCH, cancelled=stop)
        left = len(wanted)
        try:
            with closing(cast("Generator[Any]", loading)):
                for row, vectors in loading:
                    fine.score(row, vectors)
                    left -= 1
                    if left == len(wanted) - 1 or time.monotonic() - told >= _REDRAW_S:
                        tell(left)
                        told = time.monotonic()
        except Cancelled:
            # The view moves on; what was encoded until then is worth seeing.
            tell(left)
            raise
        # Tiles that cannot be read are not waited for.
        tell(0)

    def _source(self, job: Job, aim: Aim) -> PatchVectors:
        """Give the patches of a slide, kept until another encoder or pixel size."""
        from napari_pathfm.heatmaps import PatchVectors

        known = self._sources.get(aim.state)
        if known is not None and known[:2] == (aim.slide, aim.encoder):
            return known[2]
        job.say("loading the encoder")
        encoder = self._models.encoder(aim.encoder)
        job.say("finding tissue")
        patches = PatchVectors(
            aim.slide,
            encoder,
            tissue=aim.state.find_tissue(),
            store=self._store_of(aim.slide, encoder),
            cache=self._cache,
        )
        job.say("")
        if known is not None:
            known[2].close()
        self._sources[aim.state] = aim.slide, aim.encoder, patches
        return patches

    def _compared(
        self, aim: Aim, patches: PatchVectors, stop: Callable[[], bool]
    ) -> FineSimilarity | None:
        """Give the comparison with an aim's places, the one before if they are its."""
        from napari_pathfm.heatmaps import FineSimilarity

        wanted = (patches, aim.like, aim.unlike)
        if self._similarity is None or self._similarity[0] != wanted:
            like = _on_tissue(patches, aim.like)
            if not like:
                return None
            unlike = _on_tissue(patches, aim.unlike)
            fine = FineSimilarity(patches, like, unlike, cancelled=stop)
            self._similarity = wanted, fine
        return self._similarity[1]


def _on_tissue(patches: PatchVectors, places: Places) -> list[Any]:
    """Leave places on glass out: the tile map says so, and takes such clicks back."""
    from napari_pathfm.heatmaps import patches_under

    kept = []
    for place in places:
        try:
            patches_under(patches, place)
        except OutsideSlideError:
            continue
        kept.append(place)
    return kept


def _around(
    view: tuple[float, float, float, float], most: float
) -> tuple[float, float, float, float]:
    """Grow a view on each side, to no more than `most`, about its middle."""
    x, y, width, height = view
    wide, high = (min(side * (1 + 2 * _AROUND), most) for side in (width, height))
    return x + (width - wide) / 2, y + (height - high) / 2, wide, high
