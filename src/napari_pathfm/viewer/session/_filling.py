"""The work behind a heatmap, as one worker does it: find tissue, embed, compare."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import Cancelled
from napari_pathfm.viewer.session._store_files import finished_store, path_for_run

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import Heatmap, UnitVectors
    from napari_pathfm.slides import TileGrid, TissueMask
    from napari_pathfm.viewer.session._jobs import Job
    from napari_pathfm.viewer.session._models import Models
    from napari_pathfm.viewer.session._prompts import Prompt
    from napari_pathfm.viewer.session._slide_state import SlideState
    from napari_pathfm.viewer.session._store_files import StoreKey

# A map that fills in is drawn again at most this often, and takes at most this share of
# the worker's time.
_REDRAW_S = 0.25
_REDRAW_SHARE = 0.1


@dataclass(frozen=True)
class Partial:
    """What is known so far.

    Attributes
    ----------
    heatmap : Heatmap or None
        None while no prompt's tile is embedded.
    misplaced : tuple of Prompt
        Prompts that lie on no tissue tile.
    empty : bool
        Whether a drawn region holds none.
    like, unlike : tuple of places
        What the heatmap was made of.
    """

    heatmap: Heatmap | None
    misplaced: tuple[Prompt, ...] = ()
    empty: bool = False
    like: tuple[Any, ...] = ()
    unlike: tuple[Any, ...] = ()


class Filling:
    """Embed a slide as far as it must be and compare it with its prompts.

    `run` is for a worker. The prompts are read again for every map, so that those added
    meanwhile count.

    Parameters
    ----------
    state : SlideState
        The slide and its prompts.
    key : StoreKey
        What is wanted.
    path : Path
        The store's folder.
    models : Models
        Where the encoder comes from.
    store : EmbeddingStore, optional
        Known to be complete.
    whole : bool
        Embed the slide even where no prompt asks for it.
    """

    def __init__(
        self,
        state: SlideState,
        key: StoreKey,
        path: Path,
        models: Models,
        store: EmbeddingStore | None = None,
        *,
        whole: bool = False,
    ) -> None:
        self.state = state
        self.key = key
        self.store = store
        self.whole = whole
        # Where the tiles go that are being embedded.
        self.writing: Path | None = None
        # All of the slide, kept in memory for the next click.
        self.vectors: UnitVectors | None = None
        self.focus = focus_of(state)
        self._slide = state.slide
        self._path = path
        self._models = models
        self._redraw_at = 0.0

    def run(self, job: Job) -> Partial:
        """Do it.

        Raises
        ------
        PathfmError
            What embedding or comparing may meet.
        Cancelled
            The job was; what is embedded is on disk.
        """
        if self.store is None:
            loaded = self._models.loaded_encoder(self.key.encoder)
            self.store = finished_store(self._path, loaded, self._slide)
        if self.store is None:
            from napari_pathfm.heatmaps import rows_at

            job.say("finding tissue")
            grid = self._grid(self.state.find_tissue())
            misplaced = self._misplaced(grid)
            clicks = len(self.state.prompts) - len(misplaced)
            drawn = any(len(rows_at(grid, r)) for r in self.state.regions.values())
            if not (self.whole or clicks or drawn):
                # Nothing to compare with: glass was clicked.
                return Partial(None, misplaced, bool(self.state.regions))
            self.store = self._embed(job, grid)
        if self.vectors is None:
            from napari_pathfm.heatmaps import UnitVectors

            self.vectors = UnitVectors.of(self.store)
        return self.compare(self.vectors)

    def compare(self, store: EmbeddingStore | UnitVectors) -> Partial:
        """Make the map of the prompts whose tiles are embedded."""
        from napari_pathfm.heatmaps import rows_at, similarity

        grid, done = store.grid, store.done
        misplaced = self._misplaced(grid)
        rows = {p: grid.index_at(p.x, p.y) for p in self.state.prompts.items}
        ready = [p for p, row in rows.items() if row is not None and done[row]]
        like = [p.point for p in ready if p.role == "like"]
        unlike = [p.point for p in ready if p.role == "unlike"]
        places: dict[str, list[Any]] = {"like": like, "unlike": unlike}
        empty = False
        for role, region in self.state.regions.items():
            rows_in = rows_at(grid, region)
            empty = empty or not len(rows_in)
            if done[rows_in].any():
                places[role].append(region)
        like, unlike = places["like"], places["unlike"]
        heatmap = similarity(store, like, unlike) if like else None
        return Partial(heatmap, misplaced, empty, tuple(like), tuple(unlike))

    def _misplaced(self, grid: TileGrid) -> tuple[Prompt, ...]:
        prompts = self.state.prompts.items
        return tuple(p for p in prompts if grid.index_at(p.x, p.y) is None)

    def _embed(self, job: Job, grid: TileGrid) -> EmbeddingStore:
        from napari_pathfm.embeddings import embed_slide

        self._stop_if(job)
        job.say("loading the encoder")
        encoder = self._models.encoder(self.key.encoder)
        self._stop_if(job)
        path = path_for_run(self._path, encoder, self._slide)
        job.say("")
        while True:
            focus = self.focus
            # Another click while this goes on: its neighbourhood comes first.
            stop = _Stop(self, job, focus, grid)
            try:
                return embed_slide(
                    self._slide,
                    encoder,
                    path,
                    grid=grid,
                    near=focus,
                    progress=lambda done, total: self._on_batch(job, path, done, total),
                    cancelled=stop,
                )
            except Cancelled:
                if job.cancelled():
                    job.publish(self._so_far(path))
                    raise

    def _grid(self, tissue: TissueMask) -> TileGrid:
        from napari_pathfm.slides import tile_grid

        spec = self._models.encoder_spec(self.key.encoder)
        return tile_grid(
            self._slide,
            px=spec.tile_px,
            mpp=spec.mpp,
            stride=spec.tile_px / self.key.overlap,
            tissue=tissue,
        )

    def _on_batch(self, job: Job, path: Path, done: int, total: int) -> None:
        self.writing = path
        job.report(done, total)
        if time.monotonic() < self._redraw_at:
            return
        started = time.monotonic()
        job.publish(self._so_far(path))
        took = time.monotonic() - started
        self._redraw_at = started + max(_REDRAW_S, took / _REDRAW_SHARE)

    def _so_far(self, path: Path) -> Partial:
        from napari_pathfm.embeddings import open_store

        return self.compare(open_store(path))

    def _stop_if(self, job: Job) -> None:
        if job.cancelled():
            raise Cancelled("stopped before anything was embedded")


def focus_of(state: SlideState) -> tuple[float, float] | None:
    """Where to embed first: at the newest click, else in a drawn region."""
    last = state.prompts.last
    if last is not None:
        return last.point
    for region in state.regions.values():
        point = region.representative_point()
        return float(point.x), float(point.y)
    return None


class _Stop:
    """Tells a run to stop: it was cancelled, or a newer click wants it elsewhere."""

    def __init__(
        self,
        filling: Filling,
        job: Job,
        focus: tuple[float, float] | None,
        grid: TileGrid,
    ) -> None:
        self._filling = filling
        self._job = job
        self._focus = focus
        self._grid = grid

    def __call__(self) -> bool:
        if self._job.cancelled():
            return True
        focus = self._filling.focus
        if focus is None or focus == self._focus:
            return False
        # A click on glass moves nothing.
        return self._grid.index_at(*focus) is not None
