"""Pixels with their place as pyramidal OME-TIFF, and back."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._placed_pixels import COLORS, WHITE, PlacedPixels
from napari_pathfm.exports._png import STATEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.exports._features import RGB
    from napari_pathfm.exports._placed_pixels import Kind

SUFFIXES = (".ome.tif", ".ome.tiff")

#: Namespaces of our MapAnnotation; whoever reads it knows the keys by them.
NAMESPACES: dict[Kind, str] = {
    "heatmap": "napari-pathfm/heatmap/1",
    "synthetic": "napari-pathfm/synthetic/1",
}

_TILE = (256, 256)
#: What a plain TIFF, whose offsets have 32 bits, may hold before compression.
_PLAIN_TIFF = 2**31


def write_ome_tiff(
    path: PathLike, placed: PlacedPixels, levels: Sequence[Any] | None = None
) -> None:
    """Write pixels with their place; see `write_pixels`.

    ``PhysicalSizeX/Y`` is the side of a pixel in µm. ``PositionX/Y`` of the planes is
    the place on the slide of the top-left *corner* of the first pixel, in µm from the
    top-left corner of the slide (OME does not say which point of a plane its position
    means; a reader whose coordinates mean pixel centres adds half a pixel). The same
    place in level-0 pixels, the limits of the colours and the provenance as JSON stand
    in a MapAnnotation of one of the `NAMESPACES` with the keys ``origin_x``,
    ``origin_y``, ``stride``, ``mpp``, ``limits`` and ``provenance``. Smaller levels are
    SubIFDs, tiles are compressed without loss. NaN stays NaN: no tile there.

    Parameters
    ----------
    path : path-like
        Ends in one of `SUFFIXES`.
    placed : PlacedPixels
    levels : sequence of array-like, optional
        The pyramid, where it is not that of the pixels, such as Dask arrays
        ``(h, w, 3)``: they are read by rows of TIFF tiles, never as a whole.

    Raises
    ------
    OutputError
        The file cannot be written; nothing is left.
    """
    import tifffile

    levels = list(levels) if levels is not None else placed.levels()
    rgb = placed.kind == "synthetic"
    if not rgb and len(placed.channels) == 1:
        levels = [level[0] for level in levels]
    axes = "YXS" if rgb else "YX" if levels[0].ndim == 2 else "CYX"
    options: dict[str, Any] = {
        "photometric": "rgb" if rgb else "minisblack",
        "compression": "zlib",
        "predictor": rgb,
        "tile": _TILE,
        "software": "napari-pathfm",
        "resolutionunit": "CENTIMETER",
    }
    with (
        whole_file(path, *SUFFIXES) as neighbour,
        tifffile.TiffWriter(
            neighbour, ome=True, bigtiff=levels[0].nbytes > _PLAIN_TIFF
        ) as tif,
    ):
        for number, level in enumerate(levels):
            # For readers that know TIFF but not OME.
            per_cm = 1e4 / (placed.pixel_um * 2**number)
            first = number == 0
            lazy = not isinstance(level, np.ndarray)
            tif.write(
                _tiles(level) if lazy else level,
                shape=level.shape,
                dtype=level.dtype,
                resolution=(per_cm, per_cm),
                subifds=len(levels) - 1 if first else None,
                subfiletype=0 if first else 1,
                metadata=_metadata(placed, axes) if first else None,
                **options,
            )


def _tiles(level: Any) -> Iterator[NDArray[np.uint8]]:
    """Read an RGB picture by rows of tiles; those at its edges are filled up."""
    high, wide = _TILE
    for row in range(0, level.shape[0], high):
        band = np.asarray(level[row : row + high])
        for column in range(0, level.shape[1], wide):
            tile = np.zeros((high, wide, 3), np.uint8)
            part = band[:, column : column + wide]
            tile[: part.shape[0], : part.shape[1]] = part
            yield tile


def read_ome_tiff(path: PathLike, *, decode: bool = True) -> PlacedPixels:
    """Read what `write_ome_tiff` wrote.

    Parameters
    ----------
    path : path-like
    decode : bool
        Whether the pixels are wanted; otherwise they are nought, and take no memory.

    Raises
    ------
    PathfmError
        There is no such file, or it is not one of those.
    """
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            document = tif.ome_metadata
            pixels = None
            if _namespace(document):
                series = tif.series[0]
                nought = np.zeros((), series.dtype)
                pixels = (
                    series.asarray()
                    if decode
                    else np.broadcast_to(nought, series.shape)
                )
    except Exception as error:  # damage leads tifffile and its codecs anywhere
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PathfmError(f"{path} cannot be read: {reason}.") from error
    try:
        if document is None or pixels is None:
            raise ValueError("it says nothing of this program")
        return _placed(document, pixels)
    except (ElementTree.ParseError, KeyError, ValueError, TypeError) as error:
        raise PathfmError(
            f"{path} is no picture of this program: its place on the slide is missing."
        ) from error


def is_our_ome_tiff(path: PathLike) -> bool:
    """Tell by its description whether a file is one that `write_ome_tiff` wrote."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            return _namespace(tif.ome_metadata) is not None
    except Exception:  # noqa: BLE001 (whatever it is, it is not ours)
        return False


def _namespace(document: str | None) -> str | None:
    return next(
        (n for n in NAMESPACES.values() if document and f'"{n}"' in document), None
    )


def _metadata(placed: PlacedPixels, axes: str) -> dict[str, Any]:
    x, y = placed.origin
    rgb = placed.kind == "synthetic"
    name = _xml(placed.name)
    count = len(placed.channels)
    channel: dict[str, Any] = {"Name": [_xml(title) for title in placed.channels]}
    if not rgb:
        # OME's colour is RGBA in one signed integer.
        channel["Color"] = [_signed(color) for color in placed.colors]
    return {
        "axes": axes,
        "Creator": "napari-pathfm",
        # tifffile's own choice would tell the machine's network address.
        "UUID": str(uuid.uuid4()),
        "Name": name,
        "Description": STATEMENT
        if rgb
        else f"{name}: one pixel per tile; NaN where there is no tile.",
        "PhysicalSizeX": placed.pixel_um,
        "PhysicalSizeXUnit": "µm",
        "PhysicalSizeY": placed.pixel_um,
        "PhysicalSizeYUnit": "µm",
        "Channel": channel,
        "Plane": {
            "PositionX": [x * placed.mpp] * count,
            "PositionXUnit": ["µm"] * count,
            "PositionY": [y * placed.mpp] * count,
            "PositionYUnit": ["µm"] * count,
        },
        "MapAnnotation": {
            "Namespace": NAMESPACES[placed.kind],
            "origin_x": x,
            "origin_y": y,
            "stride": placed.stride,
            "mpp": placed.mpp,
            "limits": json.dumps(placed.limits),
            # ASCII escapes: whatever stands in it, it is legal XML. One object where
            # there is one channel, as files of earlier versions have it.
            "provenance": json.dumps(
                placed.provenance[0] if count == 1 else placed.provenance
            ),
        },
    }


def _placed(document: str, pixels: Any) -> PlacedPixels:
    # ElementTree resolves no external entities, and expat bounds internal ones.
    root = ElementTree.fromstring(document)  # noqa: S314
    kind, notes = next(
        (kind, notes)
        for notes in root.findall(".//{*}MapAnnotation")
        for kind, namespace in NAMESPACES.items()
        if notes.get("Namespace") == namespace
    )
    said = {key.get("K"): key.text or "" for key in notes.findall(".//{*}M")}
    image = root.find("{*}Image")
    name = kind if image is None else image.get("Name", kind)
    titles = [
        (channel.get("Name", name), _rgb(channel.get("Color")))
        for channel in root.findall("{*}Image/{*}Pixels/{*}Channel")
    ]
    pixels = np.asarray(pixels)
    if kind == "heatmap":
        pixels = pixels.astype(np.float32)
        pixels = pixels[None] if pixels.ndim == 2 else pixels
    elif pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError("its pixels are not those of a picture")
    count = len(pixels) if kind == "heatmap" else 1
    provenance = json.loads(said["provenance"])
    provenance = provenance if isinstance(provenance, list) else [provenance]
    limits = json.loads(said.get("limits") or "null") or [(0.0, 1.0)] * count
    if not len(titles) == len(provenance) == len(limits) == count:
        raise ValueError("its channels do not fit")
    return PlacedPixels(
        kind,
        pixels,
        (float(said["origin_x"]), float(said["origin_y"])),
        float(said["stride"]),
        float(said["mpp"]),
        name,
        tuple(title for title, _ in titles),
        tuple(
            color or (COLORS[number % len(COLORS)] if kind == "heatmap" else WHITE)
            for number, (_, color) in enumerate(titles)
        ),
        tuple((float(low), float(high)) for low, high in limits),
        tuple(dict(entry) for entry in provenance),
    )


def _signed(color: RGB) -> int:
    red, green, blue = color
    packed = red << 24 | green << 16 | blue << 8 | 255
    return packed - 2**32 if packed >= 2**31 else packed


def _rgb(packed: str | None) -> RGB | None:
    if packed is None:
        return None
    value = int(packed) % 2**32
    return value >> 24, value >> 16 & 255, value >> 8 & 255


def _xml(text: str) -> str:
    """Return `text` without the control characters that XML has no way to hold."""
    return "".join(char if char.isprintable() else " " for char in str(text))
