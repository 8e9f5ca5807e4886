"""QuPath GeoJSON and wsidata's shapes become layers on the slide that is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer._notices import notify

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.exports import QuPathObjects
    from napari_pathfm.viewer._reader import LayerData, PathLike, ReaderFunction

_SUFFIXES = (".geojson", ".geojson.gz")

# As many repairs are told one by one; a person reads no more.
_TOLD = 3


def get_reader(path: PathLike | list[PathLike]) -> ReaderFunction | None:
    """Tell napari whether a path is a file of QuPath objects.

    Parameters
    ----------
    path : path-like or list of path-like
        A list is a stack to napari, which objects are not.

    Returns
    -------
    callable or None
    """
    if isinstance(path, (list, tuple)):
        return None
    return read_objects if str(path).lower().endswith(_SUFFIXES) else None


def is_wsidata_folder(file: Path) -> bool:
    """Tell whether a folder holds wsidata's shapes, by its description."""
    from napari_pathfm.exports import is_wsidata

    return is_wsidata(file)


def read_objects(path: Any) -> list[LayerData]:
    """Open a file of objects as layers; one that cannot be read is explained in a line.

    They lie on the slide that the file names, else on the active one, else on the
    topmost; where none is open they are in pixels.

    Parameters
    ----------
    path : path-like
        One file, or a folder of wsidata's.

    Returns
    -------
    list of layer data tuples
    """
    from napari_pathfm.exports import (
        objects_to_layers,
        read_geojson,
        read_wsidata_shapes,
    )

    file = Path(str(path))
    folder = file.suffix.lower() == ".zarr"
    try:
        objects = read_wsidata_shapes(file) if folder else read_geojson(file)
    except PathfmError as error:
        # An exception would reach the person as a traceback.
        notify("error", str(error))
        return [(None,)]
    for line in _told(objects):
        notify("warning", f"{file.name}: {line}")
    slide = _slide(objects)
    if slide is None:
        notify(
            "warning",
            f"{file.name} is shown in pixels, as no slide is open: open its slide "
            "first to see it in place.",
        )
        slide = {}
    elif outside := _outside(objects, slide["dimensions"]):
        notify(
            "warning",
            f"{file.name}: {outside:,} of {len(objects):,} objects lie outside the "
            "slide; is it the file of another one?",
        )
    end = ".zarr" if folder else ".geojson"
    name = file.name[: file.name.lower().rindex(end)]
    facts = {key: slide.get(key) for key in ("path", "fingerprint")}
    return list(
        objects_to_layers(objects, mpp=slide.get("mpp"), name=name, entry=facts)
    )


def _told(objects: QuPathObjects) -> list[str]:
    lines = objects.notices[:_TOLD]
    if more := len(objects.notices) - len(lines):
        lines.append(f"{more:,} more objects were repaired.")
    return lines


def _slide(objects: QuPathObjects) -> Mapping[str, Any] | None:
    """Find the slide that objects belong to among those that are open."""
    import napari

    viewer = napari.current_viewer()
    slides = [] if viewer is None else layers_of(viewer.layers, "slide")
    if viewer is None or not slides:
        return None
    made_by = objects.members.get("napari_pathfm")
    named = made_by.get("slide_fingerprint") if isinstance(made_by, dict) else None
    same = layers_of(slides, "slide", named) if named else []
    active = [slide for slide in slides if slide in viewer.layers.selection]
    return entry((same or active or slides)[-1])


def _outside(objects: QuPathObjects, dimensions: tuple[int, int]) -> int:
    """Count the objects of which not even a part lies on a slide."""
    import numpy as np
    import shapely

    boxes = shapely.bounds([found.geometry for found in objects])
    off = (boxes[:, 2:] < 0) | (boxes[:, :2] > np.asarray(dimensions))
    return int(off.any(axis=1).sum())
