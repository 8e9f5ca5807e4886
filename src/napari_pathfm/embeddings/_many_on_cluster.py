"""Several slides on the workers of a cluster, at the grain of ranges of tiles.

Workers read and encode; this process alone writes, holds the stores' locks and marks
what is done, just as in a run of one process. A worker that dies costs the range that
it was at.
"""

from __future__ import annotations

import uuid
from contextlib import ExitStack
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from napari_pathfm.embeddings._cluster_job import SlideJob
from napari_pathfm.embeddings._many import RunSettings
from napari_pathfm.errors import Cancelled, PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from napari_pathfm.embeddings._entries import SlideEntry
    from napari_pathfm.embeddings._many import Progress
    from napari_pathfm.embeddings._report import SlideReport
    from napari_pathfm.embeddings._worker import EncoderFacts, Loader, Part

# Ranges in hand for each worker: one at work, one to go on with.
_AHEAD = 2


def embed_slides_on(
    client: Any,
    entries: Iterable[SlideEntry],
    loader: Loader,
    out: str | Path,
    *,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
    on_report: Callable[[SlideReport], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[SlideReport]:
    """Embed slides on a cluster; otherwise as `embed_slides`, with the same stores.

    Parameters
    ----------
    client : distributed.Client
        From `cluster_client`, or any other. Its workers must see the slides under the
        same paths, and have this package.
    entries, out, settings, progress, on_report, cancelled
        As for `embed_slides`; `progress` may tell of several slides in turn, and
        `on_report` comes in the order in which they end.
    loader : Loader
        Such as `EncoderRecipe`.

    Returns
    -------
    list of SlideReport
        One a slide, in their order.

    Raises
    ------
    WeightsError
        If the workers cannot load the encoder.
    PathfmError
        If the cluster is lost.
    Cancelled
        If ``cancelled`` said so; what is done stays on disk.
    """
    from napari_pathfm.embeddings._worker import Bench, describe

    name = f"napari-pathfm-{uuid.uuid4().hex[:8]}"
    client.register_plugin(Bench(loader, name))
    try:
        facts = _result(client.submit(describe, name, pure=False), "the cluster")
        run = _Run(client, name, facts, settings or RunSettings(), out)
        run.progress, run.on_report, run.cancelled = progress, on_report, cancelled
        with run.jobs:
            return run.all(list(entries))
    finally:
        client.unregister_worker_plugin(name)


class _Run:
    """The ranges in hand, and what becomes of them."""

    progress: Progress | None = None
    on_report: Callable[[SlideReport], object] | None = None
    cancelled: Callable[[], bool] | None = None

    def __init__(
        self,
        client: Any,
        name: str,
        facts: EncoderFacts,
        settings: RunSettings,
        out: str | Path,
    ) -> None:
        self.jobs = ExitStack()
        self._client = client
        self._name = name
        self._facts = facts
        self._settings = settings
        self._out = out
        self._reports: dict[int, SlideReport] = {}
        self._in_hand: dict[Any, SlideJob] = {}
        self._ended: SimpleQueue[Any] = SimpleQueue()

    def all(self, entries: list[SlideEntry]) -> list[SlideReport]:
        """Do it."""
        parts = self._parts(entries)
        self.jobs.callback(self._let_go)
        more = True
        while more or self._in_hand:
            while more and len(self._in_hand) < _AHEAD * self._workers():
                more = self._hand_out(parts)
            if self.cancelled is not None and self.cancelled():
                raise Cancelled("stopped: what is done is on disk")
            try:
                future = self._ended.get(timeout=0.5)
            except Empty:
                continue
            self._take(future, self._in_hand.pop(future))
        return [self._reports[number] for number in range(len(entries))]

    def _workers(self) -> int:
        return max(1, len(self._client.scheduler_info()["workers"]))

    def _parts(self, entries: list[SlideEntry]) -> Iterator[tuple[SlideJob, Part]]:
        """Open slide after slide, when there is room for its ranges."""
        for number, entry in enumerate(entries):
            job = SlideJob(number, entry, self._settings, self._facts, self._out)
            self.jobs.callback(job.close)
            job.progress = self.progress
            for part in job.parts():
                yield job, part
            self._end_if_done(job)

    def _hand_out(self, parts: Iterator[tuple[SlideJob, Part]]) -> bool:
        from napari_pathfm.embeddings._worker import encode_part

        job, part = next(parts, (None, None))
        if job is None:
            return False
        future = self._client.submit(encode_part, self._name, part, pure=False)
        self._in_hand[future] = job
        future.add_done_callback(self._ended.put)
        return True

    def _take(self, future: Any, job: SlideJob) -> None:
        if job.error is None:
            try:
                job.write(_result(future, str(job.entry.path)))
            except PathfmError as error:
                job.error = str(error)
        future.release()
        job.outstanding -= 1
        self._end_if_done(job)

    def _end_if_done(self, job: SlideJob) -> None:
        if not job.handed_out or job.outstanding or job.number in self._reports:
            return
        job.close()
        self._reports[job.number] = report = job.report()
        if self.on_report is not None:
            self.on_report(report)

    def _let_go(self) -> None:
        """Have the workers drop what was handed out and is not wanted any more."""
        self._client.cancel(list(self._in_hand), force=True)
        self._in_hand.clear()


def _result(future: Any, what: str) -> Any:
    """Wait for a task; what befalls workers is one line too."""
    from distributed import CancelledError, KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise PathfmError(
            f"{what}: several workers died at the same range of tiles, perhaps of too "
            "little memory: give them more, or use fewer; what is done is kept"
        ) from error
    except CancelledError as error:
        raise PathfmError(
            f"{what}: the cluster has gone: start it and run again; what is done is "
            "kept"
        ) from error
