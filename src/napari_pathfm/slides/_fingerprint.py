"""Tell slides apart by what is in them, wherever they lie."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from napari_pathfm.slides._openslide import OpenSlideBackend

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import Backend
    from napari_pathfm.slides._omezarr import OmeZarrBackend

_SAMPLE_BYTES = 64 * 1024

# Side of what is looked at of an OME-Zarr's overview.
_MAX_SIDE = 2048


def fingerprint(file: Path, reader: Backend) -> str:
    """Tell slides apart by size and both ends: quick, and the same after a copy.

    Slides of several files go by OpenSlide's own hash of them: the file that is given
    may say no more than what the others are called, or be any one of them.

    Parameters
    ----------
    file : Path
        The file that was given.
    reader : Backend
        What reads it.

    Returns
    -------
    str
        32 hex digits.
    """
    digest, level = hashlib.sha256(), reader.levels[0]
    if isinstance(reader, OpenSlideBackend) and reader.quickhash is not None:
        digest.update(f"{reader.quickhash} {level.width} {level.height}\n".encode())
        return digest.hexdigest()[:32]
    with file.open("rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        digest.update(f"{size} {level.width} {level.height}\n".encode())
        stream.seek(0)
        digest.update(stream.read(_SAMPLE_BYTES))
        stream.seek(max(0, size - _SAMPLE_BYTES))
        digest.update(stream.read(_SAMPLE_BYTES))
    return digest.hexdigest()[:32]


def folder_fingerprint(folder: Path, reader: OmeZarrBackend) -> str:
    """Tell OME-Zarr folders apart by what they say of themselves and their overview."""
    digest = hashlib.sha256()
    level = reader.levels[-1]
    digest.update(f"{[(v.width, v.height) for v in reader.levels]}\n".encode())
    for name in ("zarr.json", ".zgroup", ".zattrs"):
        if (folder / name).is_file():
            digest.update((folder / name).read_bytes())
    width, height = min(level.width, _MAX_SIDE), min(level.height, _MAX_SIDE)
    digest.update(reader.read(len(reader.levels) - 1, 0, 0, width, height).tobytes())
    return digest.hexdigest()[:32]
