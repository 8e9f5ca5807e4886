"""Which stores are meant: the stores themselves, and folders of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_NAME = "zarr.json"


def find_stores(inputs: Iterable[str | Path]) -> list[Path]:
    """Find the stores that paths name.

    Parameters
    ----------
    inputs : iterable of str or path
        A store, or a folder, whose stores are taken with those of the folders in it.
        Images in OME-Zarr are passed over.

    Returns
    -------
    list of Path
        Each store once, in the order given; the contents of folders sorted. They are
        not opened: a damaged one is found out by `open_store`.

    Raises
    ------
    StoreError
        A folder holds no store, or cannot be read. A path that does not exist is found
        out by `open_store`.
    """
    found: dict[str, Path] = {}
    for given in map(Path, inputs):
        if given.is_dir() and not (given / _NAME).exists():
            paths = list(_in_folder(given))
            if not paths:
                raise StoreError(
                    f"{given} holds no embedding store: make them with "
                    "`napari-pathfm embed SLIDES --out FOLDER`"
                )
        else:
            paths = [given]
        for path in paths:
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _in_folder(folder: Path) -> Iterator[Path]:
    try:
        near = sorted(folder.iterdir())
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be read ({error.strerror or error}): choose another"
        ) from error
    for path in near:
        # What begins with a dot is being written, or is nobody's business.
        if path.name.startswith(".") or not path.is_dir():
            continue
        if not (path / _NAME).exists():
            if path.suffix != ".zarr":
                yield from _in_folder(path)
        elif not _is_image(path):
            yield path


def _is_image(path: Path) -> bool:
    try:
        return b'"multiscales"' in (path / _NAME).read_bytes()
    except OSError:
        # Whoever opens it is told why it cannot be.
        return False
