"""Slide files become one multiscale layer each; our own pictures lie on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._objects_reader import is_wsidata_folder, read_objects
from napari_pathfm.viewer._pictures_reader import is_picture, read_picture
from napari_pathfm.viewer._stores_reader import is_store, read_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_pathfm.slides import Slide

    PathLike = str | Path
    LayerData = tuple[Any, ...]
    ReaderFunction = Callable[[PathLike | Sequence[PathLike]], list[LayerData]]

# Suffixes that only slides have. They are claimed even where the file turns out to be
# broken: our one clear line helps more than the next reader's attempt to decode it
# whole.
_SLIDE_SUFFIXES = frozenset(
    {".svs", ".ndpi", ".mrxs", ".scn", ".bif", ".vms", ".vmu", ".svslide"}
)
# Suffixes that slides share with all the world: the file itself has to say so.
_SHARED_SUFFIXES = frozenset({".tif", ".tiff", ".dcm"})

# OpenSlide's words for files that only a slide scanner writes; ``generic-tiff`` and
# what tifffile reads may be any picture, and count as slides only where they are
# pyramids.
_SCANNERS = frozenset(
    {
        "aperio",
        "dicom",
        "hamamatsu",
        "leica",
        "ome-zarr",
        "philips",
        "trestle",
        "ventana",
    }
)

# napari's word for "opened, and there is nothing to show".
_NOTHING: list[LayerData] = [(None,)]


def get_reader(path: PathLike | Sequence[PathLike]) -> ReaderFunction | None:
    """Tell napari whether a path is a slide, something of ours, or a wsidata folder.

    Parameters
    ----------
    path : path-like or sequence of path-like
        A sequence is a stack to napari, which slides are not.

    Returns
    -------
    callable or None
    """
    if isinstance(path, (list, tuple)):
        return None
    file = Path(str(path))
    suffix = file.suffix.lower()
    if suffix in (".tif", ".tiff", ".zarr") and is_picture(file):
        return read_picture
    if suffix == ".zarr" and is_store(file):
        return read_store
    if suffix == ".zarr" and is_wsidata_folder(file):
        return read_objects
    if file.is_dir():
        return read_slide if suffix == ".zarr" and _is_slide(file) else None
    if suffix in _SLIDE_SUFFIXES:
        return read_slide
    if suffix in _SHARED_SUFFIXES and _is_slide(file):
        return read_slide
    return None


def read_slide(path: PathLike | Sequence[PathLike]) -> list[LayerData]:
    """Open a slide as layer data; one that cannot be opened is explained in a line.

    Parameters
    ----------
    path : path-like or sequence of path-like
        One slide.

    Returns
    -------
    list of layer data tuples
    """
    from napari.utils.notifications import show_error

    from napari_pathfm.slides import open_slide

    first = path[0] if isinstance(path, (list, tuple)) else path
    try:
        return [slide_layer_data(open_slide(str(first)))]
    except PathfmError as error:
        # An exception would reach the person as a traceback, through two more of them.
        show_error(str(error))
        return list(_NOTHING)


def slide_layer_data(slide: Slide) -> LayerData:
    """Describe a slide as napari layer data.

    A slide that does not state its pixel size is in pixels, and its entry says so: the
    panel asks for it. It is never guessed.
    """
    from napari_pathfm.viewer._metadata import KEY, slide_entry

    pyramid = slide.pyramid()
    keywords: dict[str, Any] = {
        "name": slide.name,
        "multiscale": True,
        "rgb": True,
        "metadata": {KEY: slide_entry(slide)},
    }
    if slide.mpp is not None:
        keywords |= {"scale": (slide.mpp, slide.mpp), "units": ("um", "um")}
    # The coarsest level lies in memory already; napari computes that one while it adds
    # the layer.
    return pyramid, keywords, "image"


def _is_slide(file: Path) -> bool:
    """Look at a file's structure, not at its pixels."""
    if not file.exists():
        return False
    from napari_pathfm.slides import open_slide

    try:
        with open_slide(file) as slide:
            return len(slide.levels) > 1 or slide.vendor in _SCANNERS
    except PathfmError:
        return False
