"""Chunks of virtual slides on disk, bounded in bytes; what is used least goes first."""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import time
import zipfile
import zlib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.generators import Provenance

#: Bytes that are kept where nobody says otherwise.
LIMIT = 2 * 2**30

# After so many seconds nobody writes a file any more that is not whole.
_ABANDONED = 3600

_SPOILT = (zipfile.BadZipFile, zlib.error)

_log = logging.getLogger(__name__)


class ChunkFiles:
    """A folder of chunks, shared by all virtual slides that are told of it.

    Parameters
    ----------
    folder : Path
        Need not exist.
    limit : int
        Bytes; after each chunk that is written, those used longest ago go. None keeps
        all.
    needed : bool
        Whether a chunk that cannot be kept is an error: work that goes by its files is
        done in vain without them.
    """

    def __init__(
        self, folder: Path, limit: int | None = LIMIT, *, needed: bool = False
    ) -> None:
        self.folder = Path(folder)
        self.limit = limit
        self.needed = needed
        self._key = ""

    def of(self, provenance: Provenance) -> ChunkFiles:
        """Give the same for one virtual slide: what made it is the key."""
        # Where a slide lies on the disk does not change what is made of it.
        told = replace(provenance, slide=None, fidelity={}).to_json()
        own = ChunkFiles(self.folder, self.limit, needed=self.needed)
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
        """Keep a chunk; a disk that refuses costs only making it again.

        Raises
        ------
        OutputError
            It cannot be kept, and is needed.
        """
        path = self._path(row, column)
        unfinished = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(
                dir=path.parent, suffix=".part", delete=False
            ) as file:
                unfinished = Path(file.name)
                np.savez_compressed(file, pixels=pixels)
            os.replace(unfinished, path)
            self._shrink()
        except OSError as error:
            reason = error.strerror or str(error)
            if self.needed:
                raise OutputError(
                    f"a chunk cannot be kept in {path.parent}: {reason}; what was made "
                    "before is kept: see to the disk and run the same command again"
                ) from error
            _log.warning("a chunk is not kept in %s: %s", path.parent, reason)
        finally:
            if unfinished is not None:
                with suppress(OSError):
                    unfinished.unlink(missing_ok=True)

    def size(self) -> int:
        """Count the bytes of the chunks that are kept of this virtual slide."""
        found = (self.folder / self._key).glob("*.npz")
        return sum(path.stat().st_size for path in found)

    def _path(self, row: int, column: int) -> Path:
        return self.folder / self._key / f"{row}_{column}.npz"

    def _shrink(self) -> None:
        if self.limit is None:
            return
        found = []
        for path in self.folder.glob("*/*"):
            try:
                told = path.stat()
            except FileNotFoundError:
                continue  # another process has just thrown it away
            if path.suffix == ".npz":
                found.append((told.st_mtime_ns, told.st_size, path))
            elif path.suffix == ".part" and told.st_mtime + _ABANDONED < time.time():
                path.unlink(missing_ok=True)  # of a process that was killed
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= self.limit:
                return
            path.unlink(missing_ok=True)
            total -= size
