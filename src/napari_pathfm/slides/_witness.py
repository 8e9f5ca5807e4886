"""Whether the file behind an open slide is still the one that was opened.

A slide that is copied again while it is open must not show another one's pixels, nor
half of each.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

_SAMPLE_BYTES = 64 * 1024


class Witness:
    """What a file was like when it was opened.

    Parameters
    ----------
    path : Path
        The file.
    opened : int, optional
        Its descriptor, for readers that hold it open: then it is that file which must
        not change, whatever takes its name. Otherwise the name must not change hands.
    slide : Path, optional
        The slide of which it is one file; `path` itself by default.
    """

    def __init__(
        self, path: Path, opened: int | None = None, *, slide: Path | None = None
    ) -> None:
        self._path = path
        self._name = path.name
        if slide is not None and slide != path:
            self._name = f"{slide.name} (its file {path.name})"
        self._opened = opened
        self._stamp = self._look()
        self._digest = self._sample()

    def check(self) -> None:
        """Raise `SlideError` where the file has become another; takes a microsecond."""
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            if self._sample() == self._digest:  # its time was touched, no more
                self._stamp = stamp
                return
        except FileNotFoundError:
            return  # nobody else can be read under its name
        except OSError as error:
            raise SlideError(
                f"{self._name} cannot be read any more ({error.strerror}): "
                "open it again"
            ) from error
        raise SlideError(f"{self._name} has changed since it was opened: open it again")

    def _look(self) -> tuple[int, int, int, int]:
        status = os.stat(self._path if self._opened is None else self._opened)
        return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns

    def _sample(self) -> bytes:
        """Digest both ends."""
        if self._opened is not None and hasattr(os, "pread"):
            return _digest(self._opened)
        with self._path.open("rb") as file:
            return _digest(file.fileno())


def _digest(file: int) -> bytes:
    size = os.fstat(file).st_size
    digest = hashlib.sha256(str(size).encode())
    for start in (0, max(0, size - _SAMPLE_BYTES)):
        if hasattr(os, "pread"):
            digest.update(os.pread(file, _SAMPLE_BYTES, start))
        else:  # Windows; the descriptor is nobody else's
            os.lseek(file, start, os.SEEK_SET)
            digest.update(os.read(file, _SAMPLE_BYTES))
    return digest.digest()
