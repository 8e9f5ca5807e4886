"""Chunks of virtual slides on disk, bounded in bytes; what is used least goes first."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.generators import Provenance

#: Bytes that are kept where nobody says otherwise.
LIMIT = 2 * 2**30

_SPOILT = (zipfile.BadZipFile, zlib.error)

_log = logging.getLogger(__name__)


class ChunkFiles:
    """A folder of chunks, shared by all virtual slides that are told of it.

    Parameters
    ----------
    folder : Path
        Need not exist.
    limit : int
        Bytes; after each chunk that is written, those used longest ago go.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self._key = ""

    def of(self, provenance: Provenance) -> ChunkFiles:
        """Give the same for one virtual slide: what made it is the key."""
        # Where a slide lies on the disk does not change what is made of it.
        told = replace(provenance, slide=None, fidelity={}).to_json()
        own = ChunkFiles(self.folder, self.limit)
        own._key = hashlib.sha256(told.encode()).hexdigest()[:16]
        return own

    def get(
        self, row: int, column: int, shape: tuple[int, ...]
    ) -> NDArray[np.uint8] | None:
        """Give a chunk, or None where it is not here, or damaged."""
        path = self._path(row, column)
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
                pixels: NDArray[np.uint8] = found["pixels"]
            os.utime(path)
        # A zip's checksum tells what a disk or a killed process has spoilt.
        except (OSError, ValueError, LookupError, EOFError, *_SPOILT):
            return None
        return pixels if pixels.shape == shape and pixels.dtype == np.uint8 else None

    def put(self, row: int, column: int, pixels: NDArray[np.uint8]) -> None:
        """Keep a chunk; a disk that refuses costs only making it again."""
        path = self._path(row, column)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, suffix=".part", delete=False
            ) as file:
                np.savez_compressed(file, pixels=pixels)
            os.replace(file.name, path)
            self._shrink()
        except OSError as error:
            _log.warning("a chunk is not kept in %s: %s", path.parent, error.strerror)

    def _path(self, row: int, column: int) -> Path:
        return self.folder / self._key / f"{row}_{column}.npz"

    def _shrink(self) -> None:
        found = []
        for path in self.folder.glob("*/*.npz"):
            try:
                told = path.stat()
            except FileNotFoundError:
                continue  # another process has just thrown it away
            found.append((told.st_mtime_ns, told.st_size, path))
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= size
