"""Pixels with their place as OME-Zarr 0.5, and back.

Written by the published text (https://ngff.openmicroscopy.org/0.5/) with Zarr itself.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports._files import PathLike, whole_folder
from napari_pathfm.exports._placed_pixels import PlacedPixels
from napari_pathfm.exports._png import STATEMENT

if TYPE_CHECKING:
    import zarr

    from napari_pathfm.exports._features import RGB

SUFFIXES = (".ome.zarr",)

#: Attribute with what OME-Zarr has no words for.
KEY = "napari_pathfm"

_CHUNK = 512
_BYTE = (0.0, 255.0)
_RGB_NAMES = (
    ("Red", (255, 0, 0)),
    ("Green", (0, 255, 0)),
    ("Blue", (0, 0, 255)),
)


def write_ome_zarr(path: PathLike, placed: PlacedPixels) -> None:
    """Write pixels with their place; see `write_pixels`.

    Axes are ``c, y, x``, the unit is the micrometre, and the world is that of the
    slide in napari: ``(0, 0)`` is the centre of its first pixel. Each level has the
    scale and the translation of its pixels' centres. The ``omero`` block names the
    channels, their colours and limits. The attribute `KEY` holds the place in level-0
    pixels and the provenance.

    Parameters
    ----------
    path : path-like
        Ends in ``.ome.zarr``. One that this program wrote is replaced, and nothing
        else.
    placed : PlacedPixels

    Raises
    ------
    OutputError
        The folder cannot be written; nothing is left.
    """
    import zarr

    target = Path(path)
    if target.exists() and not is_our_ome_zarr(target):
        raise OutputError(
            f"{target} exists and is not of this program: choose another name."
        )
    levels = placed.levels()
    if placed.kind == "synthetic":
        levels = [np.moveaxis(level, 2, 0) for level in levels]
    with whole_folder(path, *SUFFIXES) as neighbour:
        group = zarr.open_group(
            neighbour, mode="w", zarr_format=3, attributes=_attributes(placed, levels)
        )
        for number, level in enumerate(levels):
            array = group.create_array(
                str(number),
                shape=level.shape,
                dtype=level.dtype,
                chunks=(
                    # A colour is read as a whole, a heatmap one by one.
                    len(level) if placed.kind == "synthetic" else 1,
                    *(min(_CHUNK, side) for side in level.shape[1:]),
                ),
                fill_value=255 if level.dtype == np.uint8 else np.nan,
                dimension_names=("c", "y", "x"),
            )
            array[...] = level


def read_ome_zarr(path: PathLike) -> PlacedPixels:
    """Read what `write_ome_zarr` wrote.

    Raises
    ------
    PathfmError
        There is no such folder, or it is not one of those.
    """
    import zarr

    try:
        group = zarr.open_group(str(path), mode="r")
        attributes = cast("dict[str, Any]", dict(group.attrs))
        if KEY not in attributes or "ome" not in attributes:
            raise PathfmError(
                f"{path} is no picture of this program: its place on the slide is "
                "missing."
            )
        pixels = np.asarray(cast("zarr.Array[Any]", group["0"])[...])
        return _placed(attributes, pixels)
    except PathfmError:
        raise
    except Exception as error:  # damage leads Zarr and its codecs anywhere
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise PathfmError(f"{path} cannot be read: {reason}.") from error


def is_our_ome_zarr(path: PathLike) -> bool:
    """Tell by its attributes whether a folder is one that `write_ome_zarr` wrote."""
    try:
        text = (Path(path) / "zarr.json").read_text(encoding="utf-8")
        attributes = json.loads(text)["attributes"]
        return KEY in attributes and "ome" in attributes
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _attributes(placed: PlacedPixels, levels: list[Any]) -> dict[str, Any]:
    from napari_pathfm.slides import grid_transform

    datasets = []
    for number in range(len(levels)):
        scale, translate = grid_transform(
            placed.origin, placed.stride * 2**number, placed.mpp
        )
        transforms = [
            {"type": "scale", "scale": [1.0, *scale]},
            {"type": "translation", "translation": [0.0, *translate]},
        ]
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    space = {"type": "space", "unit": "micrometer"}
    multiscale = {
        "name": placed.name,
        "axes": [
            {"name": "c", "type": "channel"},
            {"name": "y", **space},
            {"name": "x", **space},
        ],
        "datasets": datasets,
        "type": "mean",
        "metadata": {"method": "mean of 2 x 2 pixels"},
    }
    synthetic = placed.kind == "synthetic"
    channels = (
        [_channel(name, color, _BYTE, _BYTE) for name, color in _RGB_NAMES]
        if synthetic
        else [
            _channel(name, color, limits, _span(plane))
            for name, color, limits, plane in zip(
                placed.channels,
                placed.colors,
                placed.limits,
                placed.pixels,
                strict=True,
            )
        ]
    )
    ours = {
        "version": 1,
        "kind": placed.kind,
        "name": placed.name,
        "origin": list(placed.origin),
        "stride": placed.stride,
        "mpp": placed.mpp,
        "channels": list(placed.channels),
        "colors": [list(color) for color in placed.colors],
        "limits": [list(pair) for pair in placed.limits],
        "provenance": list(placed.provenance),
    }
    if synthetic:
        ours["statement"] = STATEMENT
    return {
        "ome": {
            "version": "0.5",
            "multiscales": [multiscale],
            "omero": {"channels": channels, "rdefs": {"model": "color"}},
        },
        KEY: ours,
    }


def _channel(
    name: str, color: RGB, limits: tuple[float, float], span: tuple[float, float]
) -> dict[str, Any]:
    window = {"start": limits[0], "end": limits[1], "min": span[0], "max": span[1]}
    label = "".join(f"{value:02X}" for value in color)
    return {"label": name, "color": label, "window": window, "active": True}


def _span(plane: Any) -> tuple[float, float]:
    """Give the smallest and largest number: JSON knows no infinity."""
    finite = plane[np.isfinite(plane)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)


def _placed(attributes: dict[str, Any], pixels: Any) -> PlacedPixels:
    ours = attributes[KEY]
    kind = ours["kind"]
    if kind == "synthetic":
        pixels = np.ascontiguousarray(np.moveaxis(pixels, 0, 2))
    elif kind != "heatmap":
        raise ValueError(f"its kind {kind!r} is not known")
    channels = tuple(str(name) for name in ours["channels"])
    sides = {len(ours[key]) for key in ("colors", "limits", "provenance")}
    count = 1 if kind == "synthetic" else len(pixels)
    if pixels.ndim != 3 or sides != {count} or len(channels) != count:
        raise ValueError("its channels do not fit")
    x, y = ours["origin"]
    return PlacedPixels(
        kind,
        pixels,
        (float(x), float(y)),
        float(ours["stride"]),
        float(ours["mpp"]),
        str(ours["name"]),
        channels,
        tuple((int(r), int(g), int(b)) for r, g, b in ours["colors"]),
        tuple((float(low), float(high)) for low, high in ours["limits"]),
        tuple(dict(entry) for entry in ours["provenance"]),
    )
