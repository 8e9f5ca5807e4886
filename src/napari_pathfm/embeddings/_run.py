"""The whole-slide run: tiles in, features out, nothing lost in between."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.embeddings._ahead import Encoded, encode_ahead
from napari_pathfm.embeddings._create import create_store, tidy
from napari_pathfm.embeddings._lock import clear_leftovers, filling
from napari_pathfm.embeddings._provenance import check_same, store_attrs
from napari_pathfm.embeddings._store import EmbeddingStore, open_store
from napari_pathfm.errors import Cancelled, SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from napari_pathfm.embeddings._store import FailedTile
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide, TileGrid

BATCH = 32


def store_path(folder: str | Path, slide: Slide, encoder_name: str) -> Path:
    """Where `embed` puts a store: ``FOLDER/<slide stem>.<encoder>.zarr``."""
    return Path(folder) / f"{slide.name}.{encoder_name}.zarr"


def embed_slide(
    slide: Slide,
    encoder: Encoder,
    out: str | Path,
    *,
    grid: TileGrid | None = None,
    patches: bool = False,
    near: tuple[float, float] | None = None,
    progress: Callable[[int, int], object] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> EmbeddingStore:
    """Embed the tissue of a slide, or go on where an earlier run stopped.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    encoder : Encoder
        Its spec sets tile size and mpp.
    out : path
        The store's own folder (see `store_path`). A store of the same slide, encoder
        and grid is resumed; any other is refused.
    grid : TileGrid, optional
        The tiles; by default all tissue tiles, side by side.
    patches : bool
        Keep the patch tokens too.
    near : (float, float), optional
        Level-0 ``(x, y)``: tiles there are done first.
    progress : callable, optional
        Called as ``progress(done, total)`` whenever more is on disk.
    cancelled : callable, optional
        Asked then; when it answers True the run stops.

    Returns
    -------
    EmbeddingStore
        Complete: every tile is done, or listed in ``failed`` with the reason why it
        cannot be read. Another run tries those again.

    Raises
    ------
    MissingMppError
        If the slide's pixel size is unknown.
    SlideError
        If there is no tissue, no tile at all can be read, or the slide goes away
        meanwhile; what is done stays on disk.
    StoreError
        If a store of another provenance is in the way, or another run fills it.
    OutputError
        If the store cannot be written.
    Cancelled
        If ``cancelled`` said so; what is done stays on disk.
    """
    from napari_pathfm.slides import tile_grid

    slide.require_mpp()
    spec = encoder.spec
    if grid is None:
        grid = tile_grid(slide, px=spec.tile_px, mpp=spec.mpp)
    if len(grid.coords) == 0:
        raise SlideError(f"{slide.path.name} has no tissue to embed")
    attrs = store_attrs(slide, encoder, grid, patches=patches)
    path = Path(out)
    if path.exists():
        store = open_store(path, writable=True)
        check_same(store, attrs)
        if store.done.all():
            clear_leftovers(path)
            if progress is not None:
                progress(len(grid), len(grid))
            return store
    side = grid.px // spec.patch_px if patches else None
    with store_to_fill(
        path, attrs, grid, encoder.feature_dim, side, cancelled=cancelled
    ) as store:
        rows = _order(store.done, grid, near)
        with closing(
            encode_ahead(slide, encoder, grid, rows, batch=BATCH, patches=patches)
        ) as batches:
            _fill(store, batches, progress, cancelled)
    return store


@contextmanager
def store_to_fill(
    path: Path,
    attrs: dict[str, Any],
    grid: TileGrid,
    dim: int,
    patch_grid: int | None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> Iterator[EmbeddingStore]:
    """Hold a store for filling: the one that is there, if it was made the same way.

    Parameters are those of `create_store` and `filling`.

    Raises
    ------
    StoreError
        If a store of another provenance is in the way, or another run fills it.
    OutputError
        If the store cannot be written.
    Cancelled
        If ``cancelled`` said so while another run of this process came to its end.
    """
    with filling(path, cancelled):
        tidy(path)
        # Looked at now, under the lock: another run may just have begun or ended it.
        if path.exists():
            store = open_store(path, writable=True)
            check_same(store, attrs)
        else:
            store = create_store(path, attrs, grid, dim, patch_grid)
        yield store


def _fill(
    store: EmbeddingStore,
    batches: Iterable[Encoded],
    progress: Callable[[int, int], object] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    """Put batches into the store while those after them are made."""
    done = store.done
    total, count = len(done), int(done.sum())
    if progress is not None:
        progress(count, total)
    failed = None
    for batch in batches:
        if batch.features is not None:
            store.write(batch.rows, batch.features)
            count += len(batch.rows)
        if batch.failed:
            store.list_failed(batch.failed)
            failed = batch.failed[0]
        if progress is not None:
            progress(count, total)
        if count < total and cancelled is not None and cancelled():
            raise Cancelled(f"stopped: {count} of {total} tiles are in {store.path}")
    end_run(store, failed)


def end_run(store: EmbeddingStore, failed: FailedTile | None) -> None:
    """Take those that could be read this time from the list of those that cannot.

    Raises
    ------
    SlideError
        If no tile at all is done; `failed` is one of them.
    OutputError
        If the disk refuses.
    """
    done = store.done
    if failed is not None and not done.any():
        raise SlideError(
            f"none of the {len(done)} tiles of {store.attrs['slide']} can be read: "
            f"{failed.reason}"
        )
    store.list_failed(())


def _order(
    done: NDArray[np.bool_], grid: TileGrid, near: tuple[float, float] | None
) -> NDArray[np.int64]:
    """Give the rows that are not done: as they lie, or stretches near a point first."""
    todo = np.flatnonzero(~done)
    if near is None or not len(todo):
        return todo
    runs = np.split(todo, np.flatnonzero(np.diff(todo) != 1) + 1)
    pieces = [run[i : i + BATCH] for run in runs for i in range(0, len(run), BATCH)]
    centres = grid.coords + grid.tile_size / 2
    distance = np.linalg.norm(centres - np.asarray(near), axis=1)
    pieces.sort(key=lambda piece: float(distance[piece].min()))
    return np.concatenate(pieces)
