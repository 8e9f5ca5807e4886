"""What a worker of dask.distributed does: keep one encoder loaded, encode ranges.

Imported only where distributed is used.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

import numpy as np
from distributed import WorkerPlugin, get_worker

from napari_pathfm.embeddings._ahead import encode_ahead
from napari_pathfm.embeddings._run import BATCH
from napari_pathfm.errors import SlideError
from napari_pathfm.slides import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings._entries import SlideEntry
    from napari_pathfm.embeddings._many import RunSettings
    from napari_pathfm.embeddings._store import FailedTile
    from napari_pathfm.encoders import Encoder, EncoderSpec
    from napari_pathfm.slides import Slide

_OPEN_SLIDES = 4  # a worker keeps open at most


class Loader(Protocol):
    """Makes an encoder on a worker; pickled."""

    @property
    def spec(self) -> EncoderSpec:
        """The catalogue's entry."""

    def load(self, place: object) -> Encoder:
        """Load it on the worker of this name."""


class EncoderFacts(NamedTuple):
    """What a store says of its encoder, without the encoder."""

    spec: EncoderSpec
    revision: str
    pooling: str
    feature_dim: int


@dataclass(frozen=True)
class Part:
    """A range of a slide's tiles.

    Attributes
    ----------
    entry, settings : SlideEntry, RunSettings
        How to open the slide.
    fingerprint : str
        Which slide it must be.
    grid : dict
        From `TileGrid.to_attrs`.
    cells : ndarray
        int32 ``(N, 2)``: these tiles of it.
    rows : ndarray
        int64 ``(N,)``: their rows in the store.
    """

    entry: SlideEntry
    settings: RunSettings
    fingerprint: str
    grid: dict[str, Any]
    cells: NDArray[np.int32]
    rows: NDArray[np.int64]


class Done(NamedTuple):
    """A range that is encoded.

    Attributes
    ----------
    revision : str
        By which weights.
    rows : ndarray
        int64 ``(M,)``: the store's rows of those tiles that could be read.
    pooled : ndarray
        float16 ``(M, P)``.
    patches : ndarray or None
        float16 ``(M, h, w, D)``.
    failed : tuple of FailedTile
        Those that could not.
    """

    revision: str
    rows: NDArray[np.int64]
    pooled: NDArray[np.float16]
    patches: NDArray[np.float16] | None
    failed: tuple[FailedTile, ...]


class Bench(WorkerPlugin):
    """A worker's encoder, loaded once, and the slides that it has open.

    Parameters
    ----------
    loader : Loader
        Where the encoder comes from.
    name : str
        By which tasks find it.
    """

    def __init__(self, loader: Loader, name: str) -> None:
        self.name = name
        self._loader = loader

    def setup(self, worker: Any) -> None:
        """Begin with nothing loaded: errors of loading belong to the first task."""
        self._place = worker.name
        self._lock = threading.Lock()
        self._encoder: Encoder | None = None
        self._slides: dict[str, Slide] = {}

    def teardown(self, worker: Any) -> None:
        """Close the slides and let the encoder go."""
        with self._lock:
            for slide in self._slides.values():
                slide.close()
            self._slides.clear()
            self._encoder = None

    def encoder(self) -> Encoder:
        """The encoder, loaded when it is first asked for."""
        with self._lock:
            if self._encoder is None:
                self._encoder = self._loader.load(self._place)
            return self._encoder

    def slide(self, part: Part) -> Slide:
        """The slide of a part, opened when it is first asked for."""
        with self._lock:
            slide = self._slides.pop(part.fingerprint, None)
            if slide is None:
                slide = part.settings.open(part.entry)
                if slide.fingerprint != part.fingerprint:
                    slide.close()
                    raise SlideError(
                        f"{slide.path} is another slide on this worker, or has changed"
                    )
            self._slides[part.fingerprint] = slide  # the last used is last
            while len(self._slides) > _OPEN_SLIDES:
                # Another thread may read it still; it closes with its last user.
                self._slides.pop(next(iter(self._slides)))
            return slide


def describe(name: str) -> EncoderFacts:
    """Tell which encoder the workers have."""
    bench = cast("Bench", get_worker().plugins[name])
    encoder = bench.encoder()
    return EncoderFacts(
        encoder.spec, encoder.revision, encoder.pooling, encoder.feature_dim
    )


def encode_part(name: str, part: Part) -> Done:
    """Encode a range of tiles, in the batches that a run of one process would make.

    Raises
    ------
    SlideError
        If the slide cannot be opened here or goes away meanwhile.
    WeightsError
        If the encoder cannot be loaded.
    """
    bench = cast("Bench", get_worker().plugins[name])
    encoder = bench.encoder()
    slide = bench.slide(part)
    grid = TileGrid.from_attrs(part.grid, part.cells)
    rows: list[NDArray[np.int64]] = [part.rows[:0]]
    pooled, patches = [np.empty((0, encoder.feature_dim), np.float16)], []
    failed: list[FailedTile] = []
    order = np.arange(len(part.rows))
    keep = part.settings.patches
    for batch in encode_ahead(slide, encoder, grid, order, batch=BATCH, patches=keep):
        if batch.features is not None:
            rows.append(part.rows[batch.rows])
            pooled.append(batch.features.pooled.astype(np.float16))
            if keep:
                patches.append(batch.features.patches.astype(np.float16))
        failed += [replace(tile, row=int(part.rows[tile.row])) for tile in batch.failed]
    return Done(
        encoder.revision,
        np.concatenate(rows),
        np.concatenate(pooled),
        np.concatenate(patches) if patches else None,
        tuple(failed),
    )
