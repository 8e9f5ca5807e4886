"""Heatmaps as OME-TIFF: the numbers themselves, in micrometres, with what made them."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np

from napari_pathfm.errors import MissingMppError, OutputError, PathfmError
from napari_pathfm.exports._files import PathLike, whole_file

if TYPE_CHECKING:
    from napari_pathfm.heatmaps import Heatmap

SUFFIXES = (".ome.tif", ".ome.tiff")

#: Namespace of our MapAnnotation; whoever reads it knows the keys by it.
NAMESPACE = "napari-pathfm/heatmap/1"


def export_heatmap_ome_tiff(heatmap: Heatmap, path: PathLike) -> None:
    """Write a heatmap as a float32 OME-TIFF of one channel.

    One pixel is one cell. ``PhysicalSizeX/Y`` is its side in µm. ``PositionX/Y`` of the
    plane is the place on the slide of the top-left *corner* of the first pixel, in µm
    from the top-left corner of the slide (OME does not say which point of a plane its
    position means; a reader whose coordinates mean pixel centres adds half a cell).
    The same place in level-0 pixels, and the provenance as JSON, stand in a
    MapAnnotation of the namespace `NAMESPACE` with the keys ``origin_x``, ``origin_y``,
    ``stride``, ``mpp`` and ``provenance``. NaN stays NaN: no tile there.

    Parameters
    ----------
    heatmap : Heatmap
    path : path-like
        Ends in ``.ome.tif`` or ``.ome.tiff``. An existing file is replaced.

    Raises
    ------
    OutputError
        The heatmap has no values, or the file cannot be written; nothing is left.
    MissingMppError
        The heatmap does not know its pixel size.
    """
    import tifffile

    values = np.asarray(heatmap.values, dtype=np.float32)
    if values.ndim != 2 or np.isnan(values).all():
        raise OutputError(f"Nothing to export: {path} would hold no values.")
    if not heatmap.mpp:
        raise MissingMppError(
            f"The heatmap {heatmap.name!r} has no pixel size; give micrometres per "
            "pixel (--mpp) and make it again."
        )
    cell = float(heatmap.stride * heatmap.mpp)
    x, y = (float(value) for value in heatmap.origin)
    name = _xml(heatmap.name)
    place = {
        "Namespace": NAMESPACE,
        "origin_x": x,
        "origin_y": y,
        "stride": float(heatmap.stride),
        "mpp": float(heatmap.mpp),
        # ASCII escapes: whatever stands in it, it is legal XML.
        "provenance": json.dumps(heatmap.provenance, default=str),
    }
    metadata = {
        "axes": "YX",
        "Creator": "napari-pathfm",
        # tifffile's own choice would tell the machine's network address.
        "UUID": str(uuid.uuid4()),
        "Name": name,
        "Description": f"{name}: one pixel per tile; NaN where there is no tile.",
        "PhysicalSizeX": cell,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": cell,
        "PhysicalSizeYUnit": "µm",
        "Channel": {"Name": [name]},
        "Plane": {
            "PositionX": [x * heatmap.mpp],
            "PositionXUnit": ["µm"],
            "PositionY": [y * heatmap.mpp],
            "PositionYUnit": ["µm"],
        },
        "MapAnnotation": place,
    }
    with whole_file(path, *SUFFIXES) as neighbour:
        tifffile.imwrite(
            neighbour,
            values,
            ome=True,
            photometric="minisblack",
            compression="zlib",
            # For readers that know TIFF but not OME.
            resolution=(1e4 / cell, 1e4 / cell),
            resolutionunit="CENTIMETER",
            software="napari-pathfm",
            metadata=metadata,
        )


def read_heatmap_ome_tiff(path: PathLike) -> Heatmap:
    """Read a heatmap that `export_heatmap_ome_tiff` wrote, with its place and name.

    Raises
    ------
    PathfmError
        There is no such file, or it is not one of those.
    """
    import tifffile

    from napari_pathfm.heatmaps import Heatmap

    try:
        with tifffile.TiffFile(path) as tif:
            document = tif.ome_metadata
            values = tif.asarray()
    except (OSError, ValueError, tifffile.TiffFileError) as error:
        raise PathfmError(f"{path} cannot be read: {error}.") from error
    try:
        # ElementTree resolves no external entities, and expat bounds internal ones.
        root = ElementTree.fromstring(document or "<OME/>")  # noqa: S314
        place = {
            key.get("K"): key.text or ""
            for notes in root.findall(".//{*}MapAnnotation")
            if notes.get("Namespace") == NAMESPACE
            for key in notes.findall(".//{*}M")
        }
        image = root.find("{*}Image")
        return Heatmap(
            values=values.astype(np.float32),
            origin=(float(place["origin_x"]), float(place["origin_y"])),
            stride=float(place["stride"]),
            mpp=float(place["mpp"]),
            name="heatmap" if image is None else image.get("Name", "heatmap"),
            provenance=json.loads(place["provenance"]),
        )
    except (ElementTree.ParseError, KeyError, ValueError) as error:
        raise PathfmError(
            f"{path} is no heatmap of this program: its place on the slide is missing."
        ) from error


def _xml(text: str) -> str:
    """Return `text` without the control characters that XML has no way to hold."""
    return "".join(char if char.isprintable() else " " for char in str(text))
