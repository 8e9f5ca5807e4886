"""One slide's embeddings under one encoder, on disk.

A Zarr 3 group that any Zarr reader opens::

    zarr.open_group("slide.bundled.zarr")["features"][:]

``done`` says which rows hold a result; a row is marked only after its features are
on disk (fsync), and Zarr replaces a chunk's file whole, so that a run killed at any
moment leaves a store that tells the truth and can be resumed. The attribute ``failed``
lists the tiles that could not be read; their features are NaN and they are not done.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.embeddings._disk import output_error, sync
from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import zarr
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Features
    from napari_pathfm.slides import TileGrid

FORMAT = "napari-pathfm embeddings"
VERSION = 1


@dataclass(frozen=True)
class FailedTile:
    """A tile that could not be read.

    Attributes
    ----------
    row : int
        Its row in the store.
    x, y : int
        Level-0 pixels of its top-left corner.
    reason : str
        One line.
    """

    row: int
    x: int
    y: int
    reason: str


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

    def __len__(self) -> int:
        """Count the tiles, done or not."""
        return int(self._array("features").shape[0])

    def features_of(self, rows: slice | NDArray[np.int64]) -> NDArray[np.float16]:
        """Read the features of some rows and no others: float16 ``(n, D)``."""
        array = self._array("features")
        if isinstance(rows, slice):
            return np.asarray(array[rows])
        return np.asarray(array.get_orthogonal_selection((rows, slice(None))))

    @property
    def stamp(self) -> str:
        """Hex that changes when the store is made anew or more of it is embedded.

        Taken of two small files: what describes the store, and which rows are done.
        """
        digest = hashlib.sha256((self.path / "zarr.json").read_bytes())
        folder = self.path / "done" / "c"
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            digest.update(file.read_bytes())
        return digest.hexdigest()

    @property
    def patches(self) -> zarr.Array[Any] | None:
        """float16 ``(N, h, w, D)`` on disk, or None if they were not asked for."""
        return self._array("patches") if "patches" in self._group else None

    @property
    def done(self) -> NDArray[np.bool_]:
        """Which tiles have their features: bool ``(N,)``."""
        return np.asarray(self._array("done")[:])

    @property
    def failed(self) -> tuple[FailedTile, ...]:
        """Tiles that could not be read; another run tries them again."""
        done = self.done
        listed = (FailedTile(**entry) for entry in self.attrs.get("failed", ()))
        return tuple(tile for tile in listed if not done[tile.row])

    @property
    def complete(self) -> bool:
        """Whether every tile is done, or listed as one that cannot be read."""
        settled = self.done
        settled[[tile.row for tile in self.failed]] = True
        return bool(settled.all())

    @property
    def grid(self) -> TileGrid:
        """The tile grid that the store was made on."""
        from napari_pathfm.slides import TileGrid

        return TileGrid.from_attrs(self.attrs["grid"], self.cells)

    def write(self, rows: NDArray[np.int64], features: Features) -> None:
        """Put features on disk, then mark their rows done.

        Parameters
        ----------
        rows : ndarray
            int64 ``(N,)``, in any order.
        features : Features
            Of these rows.

        Raises
        ------
        OutputError
            If the disk refuses, or the store has gone.
        """
        order = np.argsort(rows)
        rows = rows[order]
        try:
            self._here()
            self._put("features", rows, features.pooled[order])
            if self.patches is not None:
                self._put("patches", rows, features.patches[order])
            self._put("done", rows, np.True_)
        except OSError as error:
            raise output_error(self.path, error) from error

    def list_failed(self, tiles: Sequence[FailedTile]) -> None:
        """Keep which tiles cannot be read; those listed before stay listed.

        Raises
        ------
        OutputError
            If the disk refuses, or the store has gone.
        """
        listed = {tile.row: tile for tile in (*self.failed, *tiles)}
        entries = [asdict(listed[row]) for row in sorted(listed)]
        if entries == self.attrs.get("failed", []):
            return
        try:
            self._here()
            if rows := sorted(tile.row for tile in tiles):
                self._put("features", np.asarray(rows), np.float16("nan"))
            self._group.attrs["failed"] = entries
            sync([self.path / "zarr.json"])
        except OSError as error:
            raise output_error(self.path, error) from error
        self.attrs["failed"] = entries

    def _here(self) -> None:
        """Zarr would make a folder that has gone anew, and half a store in it."""
        os.stat(self.path / "zarr.json")

    def _put(self, name: str, rows: NDArray[np.int64], values: Any) -> None:
        """Write rows, ascending, of an array and wait until the disk has them."""
        array = self._array(name)
        rest = (slice(None),) * (array.ndim - 1)
        if np.ndim(values):
            values = values.astype(array.dtype)
        # Stretches of rows are slices, which Zarr writes much faster than single rows.
        stops = [*(np.flatnonzero(np.diff(rows) != 1) + 1).tolist(), len(rows)]
        start = 0
        for stop in stops:
            span = slice(int(rows[start]), int(rows[stop - 1]) + 1)
            array[(span, *rest)] = values[start:stop] if np.ndim(values) else values
            start = stop
        zeros = ["0"] * (array.ndim - 1)
        chunks = np.unique(rows // array.chunks[0]).tolist()
        folder = self.path / name / "c"
        # A chunk of nothing but zeros has no file.
        files = (folder.joinpath(str(chunk), *zeros) for chunk in chunks)
        sync(file for file in files if file.exists())


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
        # Asked one by one: a listing would meet what a killed run has left about.
        missing = [n for n in ("coords", "cells", "features", "done") if n not in group]
    # Zarr raises many kinds for a folder that is no group or whose JSON is damaged.
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no embedding store, or it is damaged") from error
    if kind != FORMAT or missing:
        raise StoreError(f"{path} is no embedding store of napari-pathfm")
    if not isinstance(version, int) or version > VERSION:
        raise StoreError(
            f"{path} was written by a newer napari-pathfm (version {version}): upgrade"
        )
    return EmbeddingStore(path, group)
