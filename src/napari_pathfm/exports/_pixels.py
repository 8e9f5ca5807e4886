"""Pixels with their place: one way out and one way in for both formats."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import _ome_tiff, _ome_zarr
from napari_pathfm.exports._placed_pixels import heatmap_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.exports._files import PathLike
    from napari_pathfm.exports._placed_pixels import PlacedPixels
    from napari_pathfm.heatmaps import Heatmap

#: What the names of pictures with a place end in.
PIXEL_SUFFIXES = _ome_tiff.SUFFIXES + _ome_zarr.SUFFIXES


def write_pixels(path: PathLike, placed: PlacedPixels) -> None:
    """Write heatmaps or synthetic tissue as pyramidal OME-TIFF or OME-Zarr 0.5.

    Parameters
    ----------
    path : path-like
        Ends in ``.ome.tif``, ``.ome.tiff`` or ``.ome.zarr``. An existing file is
        replaced; a folder only where this program wrote it.
    placed : PlacedPixels
        From `heatmap_pixels` or `synthetic_pixels`.

    Raises
    ------
    OutputError
        It cannot be written; nothing is left.
    """
    if _is(path, _ome_zarr.SUFFIXES):
        _ome_zarr.write_ome_zarr(path, placed)
    elif _is(path, _ome_tiff.SUFFIXES):
        _ome_tiff.write_ome_tiff(path, placed)
    else:
        raise OutputError(
            f"{path} cannot be written: the name must end in "
            f"{' or '.join(PIXEL_SUFFIXES)}."
        )


def write_each(path: PathLike, pictures: Sequence[PlacedPixels]) -> list[Path]:
    """Write pictures, each to a file of its own: of several ``name-1.ome.tif`` on.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    OutputError
        As for `write_pixels`.
    """
    target = Path(path)
    suffix = next((s for s in PIXEL_SUFFIXES if _is(path, (s,))), "")
    stem = target.name[: len(target.name) - len(suffix)]
    files = [
        target if len(pictures) == 1 else target.with_name(f"{stem}-{n}{suffix}")
        for n in range(1, len(pictures) + 1)
    ]
    for file, placed in zip(files, pictures, strict=True):
        write_pixels(file, placed)
    return files


def read_pixels(path: PathLike, *, decode: bool = True) -> PlacedPixels:
    """Read heatmaps or synthetic tissue that `write_pixels` wrote.

    Parameters
    ----------
    path : path-like
    decode : bool
        Whether the pixels are wanted; otherwise those of a TIFF are nought.

    Raises
    ------
    PathfmError
        There is no such file, or it is not one of those.
    """
    if Path(path).is_dir():
        return _ome_zarr.read_ome_zarr(path)
    return _ome_tiff.read_ome_tiff(path, decode=decode)


def read_heatmaps(path: PathLike) -> list[Heatmap]:
    """Read the heatmaps that a file of `write_pixels` holds, one per channel.

    Raises
    ------
    PathfmError
        There is no such file, or it holds none.
    """
    found = read_pixels(path).heatmaps()
    if not found:
        raise PathfmError(f"{path} holds synthetic tissue and no heatmap.")
    return found


def is_our_picture(path: PathLike) -> bool:
    """Tell by its description whether a file or folder is one of `write_pixels`."""
    if Path(path).is_dir():
        return _ome_zarr.is_our_ome_zarr(path)
    return _is(path, _ome_tiff.SUFFIXES) and _ome_tiff.is_our_ome_tiff(path)


def export_heatmap_ome_tiff(heatmap: Heatmap, path: PathLike) -> None:
    """Write one heatmap as OME-TIFF; see `heatmap_pixels` and `write_pixels`.

    Raises
    ------
    OutputError
        The heatmap has no values, or the file cannot be written; nothing is left.
    MissingMppError
        The heatmap does not know its pixel size.
    """
    _ome_tiff.write_ome_tiff(path, heatmap_pixels([heatmap]))


def _is(path: Any, suffixes: tuple[str, ...]) -> bool:
    return Path(path).name.lower().endswith(suffixes)
