"""One run at a time fills a store."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from napari_pathfm.embeddings._disk import output_error
from napari_pathfm.errors import Cancelled, OutputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# A run of this very process that was cancelled is still at its last batch.
_PATIENCE_S = 60.0


@contextmanager
def filling(path: Path, cancelled: Callable[[], bool] | None = None) -> Iterator[None]:
    """Hold a store for writing.

    The lock is the operating system's, on a file beside the store, so that it ends with
    the process that holds it, however that ends. The file's text is for people.

    Parameters
    ----------
    path : Path
        The store's folder; it need not exist yet.
    cancelled : callable, optional
        Asked while another run of this process comes to its end.

    Raises
    ------
    StoreError
        If another run fills the store.
    OutputError
        If the folder cannot be written.
    Cancelled
        If ``cancelled`` said so.
    """
    from filelock import FileLock, Timeout

    file = path.with_name(f".{path.name}.lock")
    holder = path.with_name(f".{path.name}.lock-holder")
    me = f"process {os.getpid()} on {socket.gethostname()}"
    lock = FileLock(file, timeout=0, thread_local=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                lock.acquire()
                break
            except Timeout:
                other = _text(holder)
                if other != me or time.monotonic() > until:
                    raise StoreError(
                        f"{path} is being filled by {other or 'another process'}: "
                        "wait for it, or stop it"
                    ) from None
            if cancelled is not None and cancelled():
                raise Cancelled(f"stopped while {path} was in use")
            time.sleep(0.05)
        holder.write_text(me, encoding="utf-8")
    except OSError as error:
        lock.release()
        raise output_error(path, error) from error
    try:
        yield
    finally:
        # Removed while it is held: whoever has opened it meanwhile sees, once the lock
        # is theirs, that the file has no name any more, and opens a new one. Windows
        # keeps it, as it keeps all open files.
        for leftover in (holder, file):
            with suppress(OSError):
                leftover.unlink()
        lock.release()


def clear_leftovers(path: Path) -> None:
    """Remove the lock of a run that was killed after its last tile.

    Where it is in use after all, or the disk lets nobody write, it stays.
    """
    if path.with_name(f".{path.name}.lock").exists():
        with suppress(StoreError, OutputError, Cancelled), filling(path, lambda: True):
            pass


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:
        return ""
