"""What a store asks of the disk: on it for certain, or one line that says why not."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_GONE = {
    errno.ENOENT,
    errno.ENOTDIR,
    errno.EIO,
    errno.ENODEV,
    errno.ENXIO,
    getattr(errno, "ESTALE", errno.EIO),
    getattr(errno, "ENOTCONN", errno.EIO),
}


def output_error(path: Path, error: OSError) -> OutputError:
    """Say in one line why a store cannot be written, and how to go on."""
    code = error.errno
    if code in _FULL:
        return OutputError(
            f"{path} cannot be written, the disk is full: free some space and run "
            "again; what is done is kept"
        )
    if code in _CLOSED:
        return OutputError(
            f"{path} cannot be written, its disk or folder is read-only: allow "
            "writing and run again, or choose another folder with --out"
        )
    if code in _GONE:
        return OutputError(
            f"{path} cannot be written, its folder or disk is gone: bring it back and "
            "run again, or choose another folder with --out"
        )
    return OutputError(
        f"{path} cannot be written ({error.strerror or error}): mend that and run "
        "again, or choose another folder with --out"
    )


def sync(paths: Iterable[Path]) -> None:
    """Have the system put files, and the folders that list them, on the disk itself."""
    folders = set()
    for path in paths:
        _sync(path)
        folders.add(path.parent)
    if os.name == "posix":  # Windows has no such thing for folders
        for folder in folders:
            _sync(folder)


def _sync(path: Path) -> None:
    writing = os.name != "posix"  # Windows flushes only what is open for writing
    handle = os.open(path, os.O_RDWR if writing else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
