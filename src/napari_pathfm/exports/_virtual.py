"""A virtual slide, or a part of one, as pyramidal OME-TIFF."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_pathfm.errors import OutputError
from napari_pathfm.exports import _ome_tiff
from napari_pathfm.exports._placed_pixels import SMALLEST_LEVEL, WHITE, PlacedPixels

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_pathfm.exports._files import PathLike
    from napari_pathfm.generators import OnStep
    from napari_pathfm.synthesis import VirtualSlide


def parts_folder(path: PathLike) -> Path:
    """Where the chunks of a file are kept until it is whole."""
    target = Path(path)
    return target.with_name(f"{target.name}.parts")


def check_tiff_output(path: PathLike) -> None:
    """Refuse now what could not be written: a night's work must not end there.

    Raises
    ------
    OutputError
        Another ending, or no such folder.
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
        The file cannot be written.
    Cancelled
        If ``on_step`` said so; what is made is kept.
    """
    check_tiff_output(path)
    chunks = virtual.chunks_of(part)
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
    _ome_tiff.write_ome_tiff(path, placed, levels)
    shutil.rmtree(parts_folder(path), ignore_errors=True)
