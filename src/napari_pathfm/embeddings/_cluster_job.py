"""One slide of a run on a cluster: its store, and the ranges that it lacks."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.embeddings._provenance import store_attrs
from napari_pathfm.embeddings._report import SlideReport
from napari_pathfm.embeddings._run import end_run, store_path, store_to_fill
from napari_pathfm.errors import PathfmError, SlideError, WeightsError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from napari_pathfm.embeddings._entries import SlideEntry
    from napari_pathfm.embeddings._many import Progress, RunSettings
    from napari_pathfm.embeddings._store import EmbeddingStore, FailedTile
    from napari_pathfm.embeddings._worker import Done, EncoderFacts, Part

# Tiles in a range: whole batches, and one chunk of a store's features.
RANGE = 256


class SlideJob:
    """A slide while its ranges are at the workers.

    Parameters
    ----------
    number : int
        Its place among the slides.
    entry : SlideEntry
        Where it is.
    settings : RunSettings
        How it is read.
    facts : EncoderFacts
        What the workers have loaded.
    out : path
        Folder of the stores.

    Attributes
    ----------
    outstanding : int
        Ranges that were handed out and have not come back.
    handed_out : bool
        Whether there are no more to hand out.
    error : str or None
        Why the slide cannot be embedded.
    """

    progress: Progress | None = None

    def __init__(
        self,
        number: int,
        entry: SlideEntry,
        settings: RunSettings,
        facts: EncoderFacts,
        out: str | Path,
    ) -> None:
        self.number = number
        self.entry = entry
        self.outstanding = 0
        self.handed_out = False
        self.error: str | None = None
        self._settings = settings
        self._facts = facts
        self._out = out
        self._store: EmbeddingStore | None = None
        self._held = ExitStack()
        self._name = entry.path.stem
        self._tiles = self._before = self._count = 0
        self._seconds = 0.0
        self._began = time.monotonic()
        self._failed: FailedTile | None = None

    def parts(self) -> Iterator[Part]:
        """Open slide and store, and give the ranges of tiles that are not done."""
        try:
            yield from self._ranges()
        except PathfmError as error:
            self.error = str(error)
        self.handed_out = True

    def _ranges(self) -> Iterator[Part]:
        from napari_pathfm.embeddings._worker import Part

        spec, patches = self._facts.spec, self._settings.patches
        with self._settings.open(self.entry) as slide:
            grid = self._settings.grid(slide, spec)
            self._name, self._tiles = slide.name, len(grid)
            if not len(grid):
                raise SlideError(f"{slide.path.name} has no tissue to embed")
            attrs = store_attrs(slide, self._facts, grid, patches=patches)
            side = grid.px // spec.patch_px if patches else None
            self._store = self._held.enter_context(
                store_to_fill(
                    store_path(self._out, slide, spec.name),
                    attrs,
                    grid,
                    self._facts.feature_dim,
                    side,
                )
            )
        done = self._store.done
        self._before = self._count = int(done.sum())
        self._tell()
        todo, told = np.flatnonzero(~done), grid.to_attrs()
        for start in range(0, len(todo), RANGE):
            if self.error is not None:
                return
            rows = todo[start : start + RANGE]
            self.outstanding += 1
            yield Part(
                self.entry,
                self._settings,
                slide.fingerprint,
                told,
                grid.cells[rows],
                rows,
            )

    def write(self, done: Done) -> None:
        """Put a range into the store.

        Raises
        ------
        WeightsError
            If its worker has other weights than the first one.
        OutputError
            If the store cannot be written.
        """
        from napari_pathfm.encoders import Features

        assert self._store is not None
        if done.revision != self._facts.revision:
            raise WeightsError(
                f"workers have different weights ({self._facts.revision} and "
                f"{done.revision}): give all of them the same"
            )
        if len(done.rows):
            # float16 on the way, as in the store: nothing is lost.
            pooled = done.pooled.astype(np.float32)
            patches = pooled[:, None, None]
            if done.patches is not None:
                patches = done.patches.astype(np.float32)
            self._store.write(done.rows, Features(pooled, patches, pooled))
            self._count += len(done.rows)
        if done.failed:
            self._store.list_failed(done.failed)
            self._failed = done.failed[0]
        self._tell()

    def close(self) -> None:
        """End the slide's run and let its store go; does nothing the second time."""
        ended = self.handed_out and not self.outstanding
        if ended and self.error is None and self._store is not None:
            try:
                end_run(self._store, self._failed)
            except PathfmError as error:
                self.error = str(error)
        self._held.close()
        self._seconds = self._seconds or time.monotonic() - self._began

    def report(self) -> SlideReport:
        """What became of it."""
        store = self._store
        return SlideReport(
            slide=self.entry.path,
            store=None if store is None else store.path,
            tiles=self._tiles,
            embedded=self._count - self._before,
            seconds=self._seconds,
            failed=() if store is None else store.failed,
            error=self.error,
            encoder=self._facts.spec.name,
            weights_revision=self._facts.revision,
        )

    def _tell(self) -> None:
        if self.progress is not None:
            self.progress(self._name, self._count, self._tiles)
