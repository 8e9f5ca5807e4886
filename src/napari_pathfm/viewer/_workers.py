"""Long work in napari's worker threads, heard of in the window's own."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QTimer

from napari_pathfm.viewer.session import Job, Outcome, carry_out

if TYPE_CHECKING:
    from collections.abc import Callable

# Often enough for a progress bar to look alive, seldom enough to cost nothing.
_PUMP_MS = 100
_SOON_MS = 50


class _Work:
    """A call with a readable name: napari shows it where it asks whether to close."""

    def __init__(self, work: Callable[[Job], Any], job: Job) -> None:
        self._work = work
        self._job = job

    def __call__(self) -> Outcome:
        return carry_out(self._work, self._job)

    def __str__(self) -> str:
        return self._job.title


class QtRunner:
    """Run jobs in threads; their events and results arrive on the GUI thread."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._closed = False
        self._timer = QTimer()
        self._timer.setInterval(_PUMP_MS)
        self._timer.timeout.connect(self._pump)

    @property
    def busy(self) -> bool:
        """Whether a thread of ours still works."""
        return bool(self._jobs)

    def start(
        self, work: Callable[[Job], Any], job: Job, ended: Callable[[Outcome], None]
    ) -> None:
        """Begin in a thread; `ended` is called on the GUI thread."""

        def finish(outcome: Outcome) -> None:
            if job in self._jobs:
                self._jobs.remove(job)
            if not self._jobs:
                self._timer.stop()
            if self._closed:
                return
            job.pump()
            job.finish(outcome.state, outcome.error)
            ended(outcome)

        def fail(error: Exception) -> None:
            # A bug: napari shows it with its traceback, the session goes on.
            finish(Outcome("failed", error=None))

        worker = create_worker(_Work(work, job), _start_thread=False)
        # napari asks its workers to stop when the window closes.
        job.stop_asked = lambda: bool(worker.abort_requested)
        worker.returned.connect(finish)
        worker.errored.connect(fail)
        self._jobs.append(job)
        self._timer.start()
        worker.start()

    def soon(self, call: Callable[[], object]) -> None:
        """Call when the window has been drawn and heard of what happened meanwhile."""

        def called() -> None:
            if not self._closed:
                call()

        QTimer.singleShot(_SOON_MS, called)

    def close(self) -> None:
        """Ask all work to stop and hear no more of it."""
        self._closed = True
        # At the interpreter's end Qt may have taken the timer already.
        with suppress(RuntimeError):
            self._timer.stop()
        for job in self._jobs:
            job.cancel()

    def _pump(self) -> None:
        for job in list(self._jobs):
            job.pump()
