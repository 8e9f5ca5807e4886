"""Heatmaps and synthetic tissue that this program wrote lie on their slide again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer._notices import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.viewer._reader import LayerData


def is_picture(file: Path) -> bool:
    """Tell whether a file or folder is a picture of ours, by its description."""
    if not file.exists():
        return False
    from napari_pathfm.exports import is_our_picture

    return is_our_picture(file)


def read_picture(path: Any) -> list[LayerData]:
    """Open a picture of ours as layers; one that cannot be read is explained in a line.

    It lies at its place on the slide, in the micrometres of that slide where it is
    open, else in its own.

    Parameters
    ----------
    path : path-like
        One file or folder.

    Returns
    -------
    list of layer data tuples
    """
    from napari_pathfm.exports import pixels_to_layers, read_pixels

    file = Path(str(path))
    try:
        placed = read_pixels(file)
    except PathfmError as error:
        # An exception would reach the person as a traceback.
        notify("error", str(error))
        return [(None,)]
    slide = _slide(placed.fingerprint)
    facts = {} if slide is None else {"path": slide.get("path")}
    mpp = None if slide is None else slide.get("mpp")
    return list(pixels_to_layers(placed, mpp=mpp, entry=facts))


def _slide(fingerprint: str | None) -> Mapping[str, Any] | None:
    """Find the slide that a picture belongs to among those that are open."""
    import napari

    viewer = napari.current_viewer()
    if viewer is None or fingerprint is None:
        return None
    found = layers_of(viewer.layers, "slide", fingerprint)
    return entry(found[-1]) if found else None
