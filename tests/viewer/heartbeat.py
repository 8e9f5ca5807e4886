"""How long a window was deaf."""

from __future__ import annotations

import time

from qtpy.QtCore import Qt, QTimer


class Heartbeat:
    """Ticks on the GUI thread and keeps the largest gap between two ticks.

    Use as a context manager; seconds. `worst` is by the clock: it counts the GUI
    thread's own work, its waiting for Python's lock, and its waiting for a processor on
    a machine that is busy with something else. `worst_work` is the GUI thread's own
    processor time alone, which a busy machine does not change much.
    """

    def __init__(self, interval_ms: int = 5) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self.gaps: list[float] = []
        self.work: list[float] = []
        self._worked = 0.0

    @property
    def worst(self) -> float:
        """The longest time without a tick."""
        return max(self.gaps, default=0.0)

    @property
    def worst_work(self) -> float:
        """The most that the GUI thread worked without a tick."""
        return max(self.work, default=0.0)

    def __str__(self) -> str:
        return (
            f"longest stall {self.worst * 1000:.0f} ms by the clock, "
            f"{self.over(0.1)} over 100 ms; {self.worst_work * 1000:.0f} ms of the "
            "GUI thread's own work"
        )

    def over(self, seconds: float) -> int:
        """How many gaps were longer."""
        return sum(gap > seconds for gap in self.gaps)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now
        worked = time.thread_time()
        self.work.append(worked - self._worked)
        self._worked = worked

    def __enter__(self) -> Heartbeat:
        self._last = time.perf_counter()
        self._worked = time.thread_time()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._timer.stop()
