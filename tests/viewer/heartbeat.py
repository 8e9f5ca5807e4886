"""How long a window was deaf."""

from __future__ import annotations

import time

from qtpy.QtCore import Qt, QTimer


class Heartbeat:
    """Ticks on the GUI thread and keeps the largest gap between two ticks.

    Use as a context manager; `worst` is in seconds. It can be no better than the interval
    and the scheduling of a busy machine.
    """

    def __init__(self, interval_ms: int = 5) -> None:
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(interval_ms)
        self._timer.timeout.connect(self._tick)
        self._last = 0.0
        self.gaps: list[float] = []

    @property
    def worst(self) -> float:
        """The longest time without a tick."""
        return max(self.gaps, default=0.0)

    def over(self, seconds: float) -> int:
        """How many gaps were longer."""
        return sum(gap > seconds for gap in self.gaps)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.gaps.append(now - self._last)
        self._last = now

    def __enter__(self) -> Heartbeat:
        self._last = time.perf_counter()
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._tick()
        self._timer.stop()
