"""One slide's embeddings under one encoder, on disk.

A Zarr 3 group that any Zarr reader opens::

    zarr.open_group("slide.bundled.zarr")["features"][:]

``done`` says which rows hold a result; a row is marked only after its features are
on disk, and Zarr replaces a chunk's file whole, so that a run killed at any moment
leaves a store that tells the truth and can be resumed.
"""

from __future__ import annotations

import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import OutputError, StoreError

if TYPE_CHECKING:
    import zarr
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder, Features
    from napari_pathfm.slides import Slide, TileGrid

FORMAT = "napari-pathfm embeddings"
VERSION = 1
_ROWS = 256  # rows in a chunk
# What must agree before a store is resumed, in the words of the message.
_IDENTITY = {
    "encoder": "encoder",
    "encoder_spec": "description of the encoder",
    "weights_revision": "weights",
    "pooling": "pooling",
    "slide_fingerprint": "slide",
    "slide_mpp": "slide's pixel size",
    "mpp": "tile mpp",
    "tile_px": "tile size",
    "grid": "tile grid",
    "resampling": "way of resizing tiles",
    "icc_applied": "use of the colour profile",
    "patches": "choice of patch tokens",
}


class EmbeddingStore:
    """Embeddings of one slide. `embed_slide` fills one, `open_store` opens one.

    Parameters
    ----------
    path : Path
        Folder of the Zarr group.
    group : zarr.Group
        The open group.
    """

    def __init__(self, path: Path, group: zarr.Group) -> None:
        self.path = path
        self._group = group
        self.attrs: dict[str, Any] = dict(group.attrs)

    def _array(self, name: str) -> zarr.Array[Any]:
        return cast("zarr.Array[Any]", self._group[name])

    @property
    def coords(self) -> NDArray[np.int32]:
        """int32 ``(N, 2)``: level-0 ``(x, y)`` of the tiles' top-left corners."""
        return np.asarray(self._array("coords")[:])

    @property
    def cells(self) -> NDArray[np.int32]:
        """int32 ``(N, 2)``: ``(row, column)`` of each tile in the lattice."""
        return np.asarray(self._array("cells")[:])

    @property
    def features(self) -> NDArray[np.float16]:
        """float16 ``(N, D)``: what stands for each tile; zero where not done."""
        return np.asarray(self._array("features")[:])

    @property
    def patches(self) -> zarr.Array[Any] | None:
        """float16 ``(N, h, w, D)`` on disk, or None if they were not asked for."""
        return self._array("patches") if "patches" in self._group else None

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which tiles have their features: bool ``(N,)``."""
        return np.asarray(self._array("done")[:])

    @property
    def complete(self) -> bool:
        """Whether every tile is done."""
        return bool(self.done.all())

    @property
    def grid(self) -> TileGrid:
        """The tile grid that the store was made on."""
        from napari_pathfm.slides import TileGrid

        return TileGrid.from_attrs(self.attrs["grid"], self.cells)

    def write(self, rows: NDArray[np.int64], features: Features) -> None:
        """Put features of consecutive rows on disk, then mark them done.

        Raises
        ------
        OutputError
            If the disk refuses.
        """
        span = slice(int(rows[0]), int(rows[-1]) + 1)
        try:
            self._array("features")[span] = features.pooled.astype(np.float16)
            if (patches := self.patches) is not None:
                patches[span] = features.patches.astype(np.float16)
            self._array("done")[span] = True
        except OSError as error:
            raise OutputError(
                f"{self.path} cannot be written ({error.strerror or error}): mend "
                "space or permissions, then run again; what is done is kept"
            ) from error


def store_attrs(
    slide: Slide, encoder: Encoder, grid: TileGrid, *, patches: bool
) -> dict[str, Any]:
    """Everything that makes two stores comparable or not, JSON-serialisable."""
    from napari_pathfm import __version__

    spec = encoder.spec
    return {
        "format": FORMAT,
        "version": VERSION,
        "encoder": spec.name,
        "encoder_spec": spec.digest,
        "weights_revision": encoder.revision,
        "pooling": encoder.pooling,
        "transform": {"mean": list(spec.mean), "std": list(spec.std)},
        "tile_px": grid.px,
        "mpp": grid.mpp,
        "resampling": slide.resampling(grid.mpp),
        "icc_applied": slide.icc_applied,
        "dtype": "float16",
        "patches": patches,
        "slide": slide.path.name,
        "slide_path": str(slide.path),
        "slide_fingerprint": slide.fingerprint,
        "slide_dimensions": list(slide.dimensions),
        "slide_mpp": slide.require_mpp(),
        "slide_mpp_source": slide.mpp_source,
        "grid": grid.to_attrs(),
        "software": f"napari-pathfm {__version__}",
    }


def create_store(
    path: Path, attrs: dict[str, Any], grid: TileGrid, dim: int, patch_grid: int | None
) -> EmbeddingStore:
    """Make an empty store; it appears under its name only when it is whole.

    Parameters
    ----------
    path : Path
        Where.
    attrs : dict
        From `store_attrs`.
    grid : TileGrid
        Its tiles become the rows.
    dim : int
        Length of a feature.
    patch_grid : int or None
        Patches along a tile's side, if patch tokens are kept.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    import zarr

    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    n = len(grid.coords)
    rows = min(_ROWS, n)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.open_group(part, mode="w", zarr_format=3)
        group.create_array("coords", data=grid.coords, chunks=(n, 2))
        group.create_array("cells", data=grid.cells, chunks=(n, 2))
        group.create_array("features", shape=(n, dim), chunks=(rows, dim), dtype="f2")
        if patch_grid is not None:
            shape = (patch_grid, patch_grid, dim)
            group.create_array(
                "patches", shape=(n, *shape), chunks=(min(8, n), *shape), dtype="f2"
            )
        group.create_array("done", shape=(n,), chunks=(n,), dtype="bool")
        group.attrs.update(attrs)
        os.rename(part, path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise OutputError(
            f"{path} cannot be written ({error.strerror or error}): "
            "choose another folder with --out"
        ) from error
    return open_store(path, writable=True)


def open_store(path: str | Path, *, writable: bool = False) -> EmbeddingStore:
    """Open a store.

    Parameters
    ----------
    path : path
        A folder that `embed_slide` filled.
    writable : bool
        Open it for filling.

    Raises
    ------
    StoreError
        If there is none, it is damaged, or it is of another kind or a newer version.
    """
    import zarr

    path = Path(path)
    if not path.exists():
        raise StoreError(f"{path} does not exist: make it with `napari-pathfm embed`")
    try:
        group = zarr.open_group(path, mode="r+" if writable else "r")
        kind, version = group.attrs.get("format"), group.attrs.get("version")
        arrays = {"coords", "cells", "features", "done"} - set(group.array_keys())
    # Zarr raises many kinds for a folder that is no group or whose JSON is damaged.
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no embedding store, or it is damaged") from error
    if kind != FORMAT or arrays:
        raise StoreError(f"{path} is no embedding store of napari-pathfm")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError(
            f"{path} was written by a newer napari-pathfm (version {version}): upgrade"
        )
    return EmbeddingStore(path, group)


def check_same(store: EmbeddingStore, attrs: dict[str, Any]) -> None:
    """Refuse to resume a store that was made otherwise.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    for key, words in _IDENTITY.items():
        if store.attrs.get(key) != attrs[key]:
            raise StoreError(
                f"{store.path} was made with another {words} "
                f"({_short(store.attrs.get(key))}, now {_short(attrs[key])}): "
                "choose another --out, or delete it"
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
