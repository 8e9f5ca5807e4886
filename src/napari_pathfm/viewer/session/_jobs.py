"""Long work: what it says of itself, how it is stopped, and who runs it.

Nothing here knows Qt. A `Runner` decides where work is done; the viewer's own does it
in threads (`viewer/_workers.py`), tests may do it at once.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Literal, Protocol

from psygnal import Signal

from napari_pathfm.errors import Cancelled, PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable

State = Literal["running", "done", "cancelled", "failed"]

# The first items of a run pay for caches and compilers: a rate from less than this many
# seconds would promise too much or too little.
_SETTLED_S = 0.5


class Job:
    """One piece of long work.

    `report`, `say`, `publish` and `cancelled` are for the thread that does the work and
    only note things down; `pump`, on the thread of whoever watches, makes events of
    them. So however fast the work reports, the window hears of it a few times a second.

    Parameters
    ----------
    title : str
        What is being done, for people.
    unit : str
        What is counted, in the plural: ``"tiles"``.
    """

    changed = Signal()
    published = Signal(object)

    def __init__(self, title: str, unit: str = "") -> None:
        self.title = title
        self.unit = unit
        self.state: State = "running"
        self.done = 0
        self.total = 0
        self.note = ""
        self.error: Exception | None = None
        self.stop_asked: Callable[[], bool] = lambda: False
        self._cancel = threading.Event()
        self._lock = threading.Lock()
        self._news = False
        self._payload: tuple[Any] | None = None
        self._first: tuple[float, int] | None = None
        self._latest: tuple[float, int] = (0.0, 0)

    # -- for the thread that works -----------------------------------------------------

    def report(self, done: int, total: int) -> None:
        """Note how far the work is."""
        now = time.monotonic()
        with self._lock:
            # What an earlier run had done already says nothing about today's pace.
            if self._first is None:
                self._first = (now, done)
            self._latest = (now, done)
            self.done, self.total, self._news = done, total, True

    def say(self, note: str) -> None:
        """Note what is being done just now."""
        with self._lock:
            self.note, self._news = note, True

    def publish(self, payload: object) -> None:
        """Leave an intermediate result; one that nobody has fetched is replaced."""
        with self._lock:
            self._payload = (payload,)

    def cancelled(self) -> bool:
        """Tell the work whether to stop."""
        return self._cancel.is_set() or self.stop_asked()

    # -- for the thread that watches ---------------------------------------------------

    def cancel(self) -> None:
        """Ask the work to stop; it does so after the batch that it is at."""
        self._cancel.set()
        self.say("stopping…")
        self.changed.emit()

    def pump(self) -> None:
        """Make events of what was noted since the last call."""
        with self._lock:
            news, self._news = self._news, False
            payload, self._payload = self._payload, None
        if news:
            self.changed.emit()
        if payload is not None:
            self.published.emit(payload[0])

    def finish(self, state: State, error: Exception | None = None) -> None:
        """Say how the work ended."""
        self.state, self.error = state, error
        self.note = ""
        self.changed.emit()

    @property
    def running(self) -> bool:
        """Whether the work goes on."""
        return self.state == "running"

    @property
    def rate(self) -> float | None:
        """Items a second since counting began, or None while that is unsure."""
        with self._lock:
            if self._first is None:
                return None
            seconds = self._latest[0] - self._first[0]
            count = self._latest[1] - self._first[1]
        return count / seconds if seconds >= _SETTLED_S and count > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """Seconds until the end at the rate so far, or None while that is unsure."""
        rate = self.rate
        return None if rate is None else (self.total - self.done) / rate


class Outcome:
    """How a piece of work ended: with a value, cancelled, or failed and explained."""

    def __init__(self, state: State, value: Any = None, error: Any = None) -> None:
        self.state: State = state
        self.value = value
        self.error = error


def carry_out(work: Callable[[Job], Any], job: Job) -> Outcome:
    """Do work; what a person may meet becomes an outcome, bugs stay exceptions."""
    try:
        value = work(job)
    except Cancelled:
        return Outcome("cancelled")
    except PathfmError as error:
        return Outcome("failed", error=error)
    return Outcome("cancelled" if job.cancelled() else "done", value)


class Runner(Protocol):
    """Whoever does long work."""

    def start(
        self, work: Callable[[Job], Any], job: Job, ended: Callable[[Outcome], None]
    ) -> None:
        """Begin; later call `ended` on the thread that called this."""

    def soon(self, call: Callable[[], object]) -> None:
        """Call when the thread that called this has had time for something else."""

    def close(self) -> None:
        """Stop everything; `ended` is not called any more."""


class InlineRunner:
    """Do work at once, where it is asked for: scripts and tests."""

    def start(
        self, work: Callable[[Job], Any], job: Job, ended: Callable[[Outcome], None]
    ) -> None:
        """Do the work, then say so."""
        outcome = carry_out(work, job)
        job.pump()
        job.finish(outcome.state, outcome.error)
        ended(outcome)

    def soon(self, call: Callable[[], object]) -> None:
        """Call at once."""
        call()

    def close(self) -> None:
        """Nothing goes on that could be stopped."""
