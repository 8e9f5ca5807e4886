"""A virtual slide, or a part of one, as pyramidal OME-TIFF."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_pathfm.errors import OutputError
from napari_pathfm.exports import _ome_tiff
from napari_pathfm.exports._placed_pixels import SMALLEST_LEVEL, WHITE, PlacedPixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.exports._files import PathLike
    from napari_pathfm.generators import OnStep
    from napari_pathfm.synthesis import Chunk, VirtualSlide


# Bytes on the disk per byte of tissue: chunks until the file is whole, and the file.
# Measured: 0.93 and 0.83, for lossless compression gains next to nothing.
_CHUNKS, _FILE = 0.95, 0.85


def parts_folder(path: PathLike) -> Path:
    """Where the chunks of a file are kept until it is whole."""
    target = Path(path)
    return target.with_name(f"{target.name}.parts")


def check_tiff_output(path: PathLike) -> None:
    """Refuse now what could not be written: a night's work must not end there.

    Raises
    ------
    OutputError
        Another ending, a folder of that name, no such folder, or a closed one.
    """
    target = Path(path)
    if not target.name.lower().endswith(_ome_tiff.SUFFIXES):
        raise OutputError(
            f"{target} cannot be written: the name must end in "
            f"{' or '.join(_ome_tiff.SUFFIXES)}"
        )
    if not target.parent.is_dir():
        raise OutputError(
            f"{target} cannot be written: there is no folder {target.parent}; create "
            "it or choose another"
        )
    if target.is_dir():
        raise OutputError(f"{target} cannot be written: it is a folder")
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise OutputError(
            f"{target} cannot be written: {error.strerror}; choose another place"
        ) from error


def write_virtual(
    path: PathLike,
    virtual: VirtualSlide,
    part: tuple[int, int, int, int],
    *,
    progress: Callable[[int, int], None] | None = None,
    on_step: OnStep | None = None,
) -> None:
    """Make all chunks of a part, then write them; memory holds a row of them.

    With chunk files in `parts_folder` a run that was stopped goes on where it was; they
    go when the file is whole. Until then nothing stands under the file's name.

    Parameters
    ----------
    path : path-like
        Ends in ``.ome.tif`` or ``.ome.tiff``.
    virtual : VirtualSlide
    part : (x, y, width, height)
        In pixels of the virtual slide; see `VirtualSlide.part`.
    progress : callable, optional
        ``progress(done, total)``, in chunks.
    on_step : callable, optional
        See `OnStep`.

    Raises
    ------
    OutputError
        The file cannot be written, or the disk has too little room for it; found before
        any work where that can be known.
    Cancelled
        If ``on_step`` said so; what is made is kept.
    """
    check_tiff_output(path)
    chunks = virtual.chunks_of(part)
    parts = parts_folder(path)
    # Of a run that was killed while it wrote; they may be as large as the file.
    for left in parts.glob(".*.partial"):
        left.unlink(missing_ok=True)
    _check_room(Path(path), virtual, chunks)
    for done, chunk in enumerate(chunks, start=1):
        virtual.make(chunk, on_step)
        if progress is not None:
            progress(done, len(chunks))
    told = virtual.provenance_of(part)
    x, y, *_ = told.box or (0.0, 0.0)
    name = f"Virtual slide, seed {told.seed}"
    levels = virtual.pyramid(part, SMALLEST_LEVEL)
    placed = PlacedPixels(
        "synthetic",
        cast("Any", levels[0]),  # of which the writer asks nothing
        (x, y),
        virtual.stride,
        virtual.mpp / virtual.stride,
        name,
        (name,),
        (WHITE,),
        ((0.0, 255.0),),
        (told.to_dict(),),
    )
    # Among the chunks, so that what a kill leaves goes with them.
    try:
        parts.mkdir(exist_ok=True)
        whole = parts / "whole.ome.tif"
        _ome_tiff.write_ome_tiff(whole, placed, levels)
        os.replace(whole, path)
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror}; choose another place"
        ) from error
    shutil.rmtree(parts, ignore_errors=True)


def _check_room(target: Path, virtual: VirtualSlide, chunks: list[Chunk]) -> None:
    """Refuse to begin what the disk cannot hold."""
    sizes = (virtual.size_of(c) for c in chunks if not virtual.is_glass(c))
    tissue = 3 * sum(height * width for height, width in sizes)
    needed = int((_CHUNKS + _FILE) * tissue) - virtual.kept_bytes
    free = shutil.disk_usage(target.parent).free
    if needed > free:
        raise OutputError(
            f"{target} needs about {needed / 1e9:.2f} GB until it is whole, and "
            f"{free / 1e9:.2f} GB are free there: free some, choose another place, or "
            "make a part of it (--box)"
        )
