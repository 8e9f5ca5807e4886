"""An embedding store dropped on the canvas: its slide, with the store for its maps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._notices import notify

if TYPE_CHECKING:
    from napari_pathfm.viewer._reader import LayerData


def is_store(folder: Path) -> bool:
    """Tell whether a folder is an embedding store, by what it says of itself."""
    from napari_pathfm.embeddings import FORMAT

    try:
        facts = json.loads((folder / "zarr.json").read_bytes())
    except (OSError, ValueError):
        return False
    attributes = facts.get("attributes") if isinstance(facts, dict) else None
    return isinstance(attributes, dict) and attributes.get("format") == FORMAT


def read_store(path: Any) -> list[LayerData]:
    """Have a store used for its slide, which is opened where it is not.

    Parameters
    ----------
    path : path-like
        One store.

    Returns
    -------
    list of layer data tuples
        Never a layer of the store itself; what went wrong is shown in a line.
    """
    import napari

    from napari_pathfm.viewer.session import name_store

    viewer = napari.current_viewer()
    try:
        if viewer is None:
            raise PathfmError("a store can be opened where there is a viewer only")
        name_store(viewer, Path(str(path)))
    except PathfmError as error:
        # An exception would reach the person as a traceback.
        notify("error", str(error))
    return [(None,)]
