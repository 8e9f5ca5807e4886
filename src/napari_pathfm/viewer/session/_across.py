"""Tissue of other slides that is like what was clicked or drawn on this one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._preferences import prefer, preference
from napari_pathfm.viewer.session._across_work import LookingAcross
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._session_slides import add_slide
from napari_pathfm.viewer.session._slide_layers import outline_tile
from napari_pathfm.viewer.session._turning import Turning

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_pathfm.viewer.session._across_work import OtherTile, SlideFacts
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk
    from napari_pathfm.viewer.session._slide_state import SlideState

_GROUP, _KEY = "storage", "search_in"


class Across:
    """A search over the stores of other slides, and where its answers lead.

    Attributes
    ----------
    tiles : list of OtherTile
        What the latest search found; it stays when another slide is turned to.
    note : str
        What was searched for and found, in a line; empty before the first search.
    left_out : str
        What was not looked at; empty where nothing.
    chosen : Path or None
        Where a person has said to look.
    job : Job or None
        The latest search.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turning = Turning(session.viewer)
        self.chosen: Path | None = None
        # The slide that was searched from, and a place on it.
        self._origin: tuple[str, str, tuple[float, float]] | None = None
        self.tiles: list[OtherTile] = []
        self.note = ""
        self.left_out = ""
        self.job: Job | None = None
        session.similarity.changed.connect(self.changed.emit)
        session.slide_changed.connect(self.changed.emit)

    @property
    def where(self) -> Path:
        """A folder of stores, or an index.

        As chosen, else as the preferences say, else where the viewer keeps its own.
        """
        if self.chosen is not None:
            return self.chosen
        told = preference(_GROUP, _KEY)
        return Path(told) if told else self._session.cache / "embeddings"

    def choose(self, where: Path, *, keep: bool = True) -> None:
        """Look there from now on, and in later windows if it is to be kept."""
        self.chosen = where
        if keep:
            prefer(_GROUP, _KEY, str(where))
        self.changed.emit()

    @property
    def possible(self) -> bool:
        """Whether there is something to search for, and its embedding."""
        state = self._session.current
        if state is None or not state.has_like or self.running:
            return False
        return self._session.similarity.heatmap(state) is not None

    @property
    def running(self) -> bool:
        """Whether a search goes on."""
        return self.job is not None and self.job.running

    @property
    def elsewhere(self) -> str:
        """Name of the slide that was searched from, where another one is shown."""
        current, origin = self._session.current, self._origin
        if origin is None or current is None or current.fingerprint == origin[0]:
            return ""
        return origin[1] if self._open(origin[0]) is not None else ""

    def search(self) -> None:
        """Look for what the current slide's map should be like, on other slides."""
        session, state = self._session, self._session.current
        if state is None or not self.possible:
            session.say("Click tissue to search for first.")
            return
        try:
            query = session.similarity.store(state)
        except PathfmError as error:
            session.report(error)
            return
        if query is None:
            session.say("Wait until the map is there.")
            return
        places: list[Any] = list(state.prompts.points("like"))
        if "like" in state.regions:
            places.append(state.regions["like"])
        slides = {s.fingerprint: Path(s.slide.path) for s in session.states()}
        looking = LookingAcross(query, places, self.where, slides)
        count = f"{len(places)} place{'' if len(places) == 1 else 's'}"
        said = f"like {count} on {state.slide.name}"
        place = places[0]
        if not isinstance(place, tuple):
            point = place.representative_point()
            place = (float(point.x), float(point.y))
        origin = state.fingerprint, state.slide.name, place
        self.job = Job("Searching other slides", "tiles")
        self.job.changed.connect(self.changed.emit)
        session.say("")
        session.runner.start(
            looking.run, self.job, lambda o: self._ended(o, origin, said)
        )
        self.changed.emit()

    def cancel(self) -> None:
        """Stop; what an earlier search found stays."""
        if self.job is not None and self.job.running:
            self.job.cancel()

    def go(self, index: int) -> None:
        """Turn to a tile: its slide, opened where it is not, at its place."""
        if index >= len(self.tiles):
            return
        hit, facts, _ = self.tiles[index]
        state = self._open(facts.fingerprint) or self._opened(facts)
        if state is not None:
            self._turning.show(state)
            self._turning.look(state, hit.x, hit.y, facts.side)
            outline_tile(
                self._session.viewer,
                state,
                "found",
                "Found",
                (hit.x, hit.y),
                facts.side,
            )

    def back(self) -> None:
        """Turn back to what was searched for."""
        if self._origin is None:
            return
        state = self._open(self._origin[0])
        if state is not None:
            self._turning.show(state)
            side = self.tiles[0].slide.side if self.tiles else 1.0
            self._turning.look(state, *self._origin[2], side)

    def _open(self, fingerprint: str) -> SlideState | None:
        """Find a slide among those that are open."""
        found = [s for s in self._session.states() if s.fingerprint == fingerprint]
        return found[-1] if found else None

    def _opened(self, facts: SlideFacts) -> SlideState | None:
        if facts.path is None:
            self._session.say(
                f"The slide {facts.name} was not found: open it, and its tiles lead "
                "there."
            )
            return None
        try:
            add_slide(self._session.viewer, facts.path, facts.mpp)
        except PathfmError as error:
            self._session.report(error)
            return None
        return self._open(facts.fingerprint)

    def _ended(
        self, outcome: Outcome, origin: tuple[str, str, tuple[float, float]], said: str
    ) -> None:
        if outcome.error is not None:
            self._session.report(outcome.error)
        elif outcome.state == "done":
            self.tiles, self.left_out = outcome.value
            self._origin = origin
            slides = len({tile.slide.fingerprint for tile in self.tiles})
            if self.tiles:
                of = f"{slides} other slide{'' if slides == 1 else 's'}"
                self.note = f"{len(self.tiles)} tiles of {of}, {said}"
            else:
                self.note = f"No other slide is embedded there that compares; {said}"
        elif outcome.state == "cancelled":
            self._session.say("The search was stopped.")
        self.changed.emit()


class AcrossSection:
    """Where other slides' stores are looked for."""

    name = "across"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give the folder or index, where one was chosen."""
        chosen = session.across.chosen
        return None if chosen is None else {"where": str(chosen)}

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Look there; what is gone is told."""
        where = Path(str(data["where"]))
        if where.exists():
            session.across.choose(where, keep=False)
        else:
            yield f"The stores to search, {where}, are not there: choose others."
