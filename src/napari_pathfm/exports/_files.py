"""Whole files or none: every writer of this room goes through here."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

PathLike = str | os.PathLike[str]


@contextmanager
def whole_file(path: PathLike, *suffixes: str) -> Iterator[Path]:
    """Lend a temporary neighbour of `path` that takes its place at the end.

    An existing file is replaced: napari's Save dialog has asked, and the shell's user
    has named it. Until the very end the old file stays untouched, and whatever goes
    wrong inside, the neighbour is removed.

    Parameters
    ----------
    path : path-like
        The file to write. Its folder must exist.
    *suffixes : str
        The endings that the name may have, lower case, e.g. ``".ome.tif"``.

    Yields
    ------
    pathlib.Path
        Where to write. It does not exist yet.

    Raises
    ------
    OutputError
        Wrong ending, no such folder, a folder of that name, or the system refuses.
    """
    target = _target(path, suffixes)
    if target.is_dir():
        raise OutputError(
            f"{target} cannot be written: it is a folder; give a file name."
        )
    neighbour = _neighbour(target)
    try:
        yield neighbour
        os.replace(neighbour, target)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{target} cannot be written: {reason}; choose another place."
        ) from error
    finally:
        # It fails only where the folder itself is gone or closed to us, and then the
        # error above has said so already.
        with suppress(OSError):
            neighbour.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: PathLike, *suffixes: str) -> Iterator[Path]:
    """Lend a temporary neighbour that becomes the folder `path` at the end.

    As `whole_file` does. A folder that exists is replaced: whoever calls has made sure
    that it may be. It is moved aside until the new one stands, as no system replaces a
    folder in one go.

    Yields
    ------
    pathlib.Path
        Where to make the folder. It does not exist yet.

    Raises
    ------
    OutputError
        As for `whole_file`.
    """
    target = _target(path, suffixes)
    neighbour, aside = _neighbour(target), _neighbour(target)
    try:
        yield neighbour
        if target.exists():
            os.replace(target, aside)
        try:
            os.replace(neighbour, target)
        except OSError:
            if aside.exists():
                os.replace(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"{target} cannot be written: {reason}; choose another place."
        ) from error
    finally:
        shutil.rmtree(neighbour, ignore_errors=True)


def _target(path: PathLike, suffixes: tuple[str, ...]) -> Path:
    """Give the place to write to, once it is one."""
    target = Path(path)
    if not target.name.lower().endswith(suffixes):
        wanted = " or ".join(suffixes)
        raise OutputError(f"{target} cannot be written: the name must end in {wanted}.")
    if not target.parent.is_dir():
        raise OutputError(
            f"{target} cannot be written: there is no folder {target.parent}; "
            "create it or choose another."
        )
    return target


def _neighbour(target: Path) -> Path:
    # The target's own name is left out, so that a long one does not become too long.
    return target.parent / f".{uuid.uuid4().hex}.partial"
