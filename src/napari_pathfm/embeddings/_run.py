"""The whole-slide run: tiles in, features out, nothing lost in between."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.embeddings._store import (
    EmbeddingStore,
    check_same,
    create_store,
    open_store,
    store_attrs,
)
from napari_pathfm.errors import Cancelled, SlideError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.slides import Slide, TileGrid

_BATCH = 32


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
        Called as ``progress(done, total)`` after each batch is on disk.
    cancelled : callable, optional
        Asked after each batch; when it answers True the run stops.

    Returns
    -------
    EmbeddingStore
        Complete.

    Raises
    ------
    MissingMppError
        If the slide's pixel size is unknown.
    SlideError
        If a tile cannot be read or there is no tissue.
    StoreError
        If a store of another provenance is in the way.
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
    else:
        side = grid.px // spec.patch_px if patches else None
        store = create_store(path, attrs, grid, encoder.feature_dim, side)
    _fill(slide, encoder, store, grid, near, progress, cancelled)
    return store


def _fill(
    slide: Slide,
    encoder: Encoder,
    store: EmbeddingStore,
    grid: TileGrid,
    near: tuple[float, float] | None,
    progress: Callable[[int, int], object] | None,
    cancelled: Callable[[], bool] | None,
) -> None:
    done = store.done
    total, count = len(done), int(done.sum())
    if progress is not None:
        progress(count, total)
    for rows in _batches(done, grid, near):
        # The stream reads ahead on threads of its own while the encoder computes.
        for index, pixels in slide.tiles(grid, batch=_BATCH, indices=rows):
            if cancelled is not None and cancelled():
                raise Cancelled(
                    f"stopped: {count} of {total} tiles are in {store.path}"
                )
            store.write(index, encoder.encode(pixels))
            count += len(index)
            if progress is not None:
                progress(count, total)


def _batches(
    done: NDArray[np.bool_], grid: TileGrid, near: tuple[float, float] | None
) -> Iterator[NDArray[np.int64]]:
    """Give runs of consecutive rows that are not done, those near a point first."""
    todo = np.flatnonzero(~done)
    if not len(todo):
        return
    runs = np.split(todo, np.flatnonzero(np.diff(todo) != 1) + 1)
    if near is None:
        yield from runs
        return
    pieces = [run[i : i + _BATCH] for run in runs for i in range(0, len(run), _BATCH)]
    centres = grid.coords + grid.tile_size / 2
    distance = np.linalg.norm(centres - np.asarray(near), axis=1)
    yield from sorted(pieces, key=lambda piece: float(distance[piece].min()))
