"""Whether a picture says of itself that it is synthetic tissue of this program's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

if TYPE_CHECKING:
    from pathlib import Path

#: Namespace of the MapAnnotation of an OME-TIFF of synthetic tissue.
TIFF_NAMESPACE = "napari-pathfm/synthetic/1"
#: Keyword of a PNG's iTXt chunk, and attribute of an OME-Zarr, with what made it.
KEY = "napari_pathfm"


def synthetic_provenance(path: Path) -> dict[str, Any] | None:
    """Give what made a picture of synthetic tissue; None where nothing says so.

    What is damaged or unknown says nothing; whoever opens it for its pixels is told.
    """
    try:
        told = _told(path)
        found = json.loads(told) if isinstance(told, str) else told
    except (OSError, ValueError, TypeError, SyntaxError, LookupError):
        return None
    entries = found if isinstance(found, list) else [found]
    for entry in entries:
        if isinstance(entry, dict) and entry.get("synthetic") is True:
            return dict(entry)
    return None


def _told(path: Path) -> Any:
    if path.is_dir():
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
        return attributes["attributes"][KEY]["provenance"]
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"\x89PNG"):
        from PIL import Image

        with Image.open(path) as image:
            # Chunks may stand behind the pixels.
            image.load()
            return getattr(image, "text", {})[KEY]
    if head[:2] not in (b"II", b"MM"):
        return None
    import tifffile

    with tifffile.TiffFile(path) as tif:
        document = tif.ome_metadata
    if document is None or TIFF_NAMESPACE not in document:
        return None
    # ElementTree resolves no external entities, and expat bounds internal ones.
    for notes in ElementTree.fromstring(document).iter():  # noqa: S314
        if notes.get("Namespace") == TIFF_NAMESPACE:
            for entry in notes.iter():
                if entry.get("K") == "provenance":
                    return entry.text
    return None
