"""Several slides, one after the other; one that is broken does not stop the rest."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.embeddings._report import SlideReport
from napari_pathfm.embeddings._run import embed_slide, store_path
from napari_pathfm.errors import Cancelled, PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_pathfm.embeddings._entries import SlideEntry
    from napari_pathfm.encoders import Encoder, EncoderSpec
    from napari_pathfm.slides import Slide, TileGrid

    Progress = Callable[[str, int, int], object]


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """How every slide of a run is read and what is kept of it.

    Attributes
    ----------
    stride : float or None
        From one tile to the next in pixels at the encoder's mpp; a tile's side by
        default.
    patches : bool
        Keep the patch tokens too.
    scaled_decode, icc : bool
        As `open_slide` takes them.
    """

    stride: float | None = None
    patches: bool = False
    scaled_decode: bool = True
    icc: bool = False

    def open(self, entry: SlideEntry) -> Slide:
        """Open a slide whose pixel size is known.

        Raises
        ------
        SlideError
            What opening it may meet.
        MissingMppError
            If it is not.
        """
        from napari_pathfm.slides import open_slide

        slide = open_slide(
            entry.path, mpp=entry.mpp, scaled_decode=self.scaled_decode, icc=self.icc
        )
        try:
            slide.require_mpp()
        except PathfmError:
            slide.close()
            raise
        return slide

    def grid(self, slide: Slide, spec: EncoderSpec) -> TileGrid:
        """Lay the grid."""
        from napari_pathfm.slides import tile_grid

        return tile_grid(slide, px=spec.tile_px, mpp=spec.mpp, stride=self.stride)


def embed_slides(
    entries: Iterable[SlideEntry],
    encoder: Encoder,
    out: str | Path,
    *,
    settings: RunSettings | None = None,
    progress: Progress | None = None,
    on_report: Callable[[SlideReport], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> list[SlideReport]:
    """Embed slides, each into a store of its own.

    Parameters
    ----------
    entries : iterable of SlideEntry
        From `slide_entries`.
    encoder : Encoder
        For all of them.
    out : path
        Folder of the stores (see `store_path`). What is done there is not done again.
    settings : RunSettings, optional
        How to read, and what to keep.
    progress : callable, optional
        Called as ``progress(slide_name, done, total)`` after each batch is on disk.
    on_report : callable, optional
        Called with each slide's report as soon as it has ended.
    cancelled : callable, optional
        Asked after each batch and slide; when it answers True the run stops.

    Returns
    -------
    list of SlideReport
        One a slide, in their order; `SlideReport.error` says which have failed.

    Raises
    ------
    Cancelled
        If ``cancelled`` said so; what is done stays on disk.
    """
    settings = settings or RunSettings()
    reports: list[SlideReport] = []
    for entry in entries:
        if reports and cancelled is not None and cancelled():
            raise Cancelled(f"stopped before {entry.path}")
        report = _embed(entry, encoder, out, settings, progress, cancelled)
        reports.append(report)
        if on_report is not None:
            on_report(report)
    return reports


def _embed(
    entry: SlideEntry,
    encoder: Encoder,
    out: str | Path,
    settings: RunSettings,
    progress: Progress | None,
    cancelled: Callable[[], bool] | None,
) -> SlideReport:
    spec = encoder.spec
    began = time.monotonic()
    seen = [0]
    store = None
    tiles = 0

    try:
        with settings.open(entry) as slide:
            grid = settings.grid(slide, spec)
            tiles = len(grid)
            path = store_path(out, slide, spec.name)
            name = slide.name
            seen.clear()

            def on_batch(done: int, total: int) -> None:
                seen.append(done)
                if progress is not None:
                    progress(name, done, total)

            store = embed_slide(
                slide,
                encoder,
                path,
                grid=grid,
                patches=settings.patches,
                progress=on_batch,
                cancelled=cancelled,
            )
        error = None
    except Cancelled:
        raise
    except PathfmError as reason:
        error = str(reason)
    return SlideReport(
        slide=entry.path,
        store=None if store is None else store.path,
        tiles=tiles,
        embedded=seen[-1] - seen[0] if seen else 0,
        seconds=time.monotonic() - began,
        failed=() if store is None else store.failed,
        error=error,
        encoder=spec.name,
        weights_revision=encoder.revision,
    )
