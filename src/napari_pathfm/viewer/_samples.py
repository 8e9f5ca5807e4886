"""Slides to try the plugin on: one drawn here, one real."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._cache import cache_folder
from napari_pathfm.viewer._notices import notify
from napari_pathfm.viewer._reader import read_slide

if TYPE_CHECKING:
    from pathlib import Path

    LayerData = tuple[Any, ...]

_PLUGIN = "napari-pathfm"
_DRAWN = "drawn-slide.tif"


def drawn_slide() -> list[LayerData]:
    """Draw an H&E-like slide, once, and open it.

    Returns
    -------
    list of layer data tuples
        None where it cannot be drawn, which is said.
    """
    from napari_pathfm.slides import draw_slide

    folder = cache_folder() / "samples"
    path = folder / _DRAWN
    try:
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            draw_slide(path)
    except (PathfmError, OSError) as error:
        notify("error", str(error))
        return []
    return _layers(path)


def real_slide() -> list[LayerData]:
    """Open CMU-1-Small-Region from the cache, or fetch it first, in a worker.

    Returns
    -------
    list of layer data tuples
        None while it is fetched: it opens when it is there.
    """
    from napari_pathfm.demo import cached_sample

    path = cached_sample(cache_folder())
    if path is not None:
        return _layers(path)
    _fetch()
    return []


def _layers(path: Path) -> list[LayerData]:
    # What a reader may say to napari, "nothing to show", a sample may not.
    return [layer for layer in read_slide(path) if layer[0] is not None]


def _fetch() -> None:
    """Fetch the sample without holding the window up, then open it."""
    from napari import current_viewer
    from napari.qt.threading import create_worker

    from napari_pathfm.demo import sample_slide

    viewer = current_viewer()

    def opened(found: tuple[Path, str] | PathfmError) -> None:
        if isinstance(found, PathfmError):
            notify("error", str(found))
        elif viewer is not None:
            path, source = found
            notify("info", f"{path.name} came from {source}.")
            viewer.open(path, plugin=_PLUGIN)

    def fetch() -> tuple[Path, str] | PathfmError:
        try:
            return sample_slide(cache_folder())
        except PathfmError as error:
            return error

    notify("info", "Fetching the sample slide (2 MB); it opens when it is here.")
    create_worker(fetch, _connect={"returned": opened})
