"""Image layers of ours, back to the heatmaps and synthetic images that they show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import MissingMppError, OutputError, PathfmError
from napari_pathfm.exports._layer_place import (
    LayerTuple,
    known_mpp,
    layer_name,
    layer_place,
    our_metadata,
)
from napari_pathfm.exports._png import export_png
from napari_pathfm.exports._tiles import grid_tiles, synthetic_features

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_pathfm.exports._features import Feature
    from napari_pathfm.exports._files import PathLike
    from napari_pathfm.generators import SyntheticImage
    from napari_pathfm.heatmaps import Heatmap


def image_features(
    data: Any, attributes: Mapping[str, Any], mpp: float | None
) -> Iterator[Feature]:
    """Yield the features of an image layer; see `layer_features`."""
    layer = (data, attributes, "image")
    if our_metadata(attributes).get("kind") == "synthetic":
        images = synthetic_from_layer(layer)
        yield from synthetic_features(
            images,
            layer_box(images[0].pixels.shape, attributes, mpp, images_ndim(data)),
        )
        return
    values, origin, stride = _grid(layer, mpp)
    name = layer_name(attributes)
    fingerprint = our_metadata(attributes).get("fingerprint", "")
    yield from grid_tiles(
        values, origin, stride, name, id_namespace=f"{fingerprint}/{name}"
    )


def heatmap_from_layer(layer: LayerTuple, *, mpp: float | None = None) -> Heatmap:
    """Return the heatmap that an image layer shows.

    Parameters
    ----------
    layer : (data, attributes, type)
        One plane of numbers with square, upright cells.
    mpp : float, optional
        Micrometres per level-0 pixel; goes before the one in the layer's metadata.

    Returns
    -------
    Heatmap
        Ready for `export_heatmap_ome_tiff` and `export_heatmap_geojson`.

    Raises
    ------
    MissingMppError
        No pixel size is known.
    OutputError
        The layer is no heatmap.
    """
    from napari_pathfm.heatmaps import Heatmap

    values, origin, stride = _grid(layer, mpp)
    attributes = layer[1]
    pixel = known_mpp(attributes, mpp)
    if pixel is None:
        raise MissingMppError(
            f"The pixel size of the slide under the layer {layer_name(attributes)!r} "
            "is not known; give micrometres per pixel (mpp)."
        )
    ours = our_metadata(attributes)
    low, high = ours.get("limits") or (0.0, 1.0)
    return Heatmap(
        values=values,
        origin=origin,
        stride=stride,
        mpp=pixel,
        name=layer_name(attributes),
        limits=(float(low), float(high)),
        provenance=dict(ours.get("provenance") or {}),
    )


def synthetic_from_layer(layer: LayerTuple) -> list[SyntheticImage]:
    """Return the synthetic images that a layer shows, each with its provenance.

    Parameters
    ----------
    layer : (data, attributes, type)
        ``uint8 (h, w, 3)`` or a stack ``(n, h, w, 3)``; the provenance in
        ``metadata["napari_pathfm"]["provenance"]`` is one, or a list of one per image.

    Raises
    ------
    OutputError
        The layer is no such picture, or its provenance is missing or does not fit:
        synthetic pixels do not leave without it.
    """
    from napari_pathfm.generators import Provenance, SyntheticImage

    data, attributes, _ = layer
    name = layer_name(attributes)
    pixels = np.asarray(data)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[-1] != 3:
        raise OutputError(f"The layer {name!r} is no synthetic RGB image.")
    stack = pixels if pixels.ndim == 4 else pixels[None]
    given = our_metadata(attributes).get("provenance")
    entries = list(given) if isinstance(given, (list, tuple)) else [given]
    if len(entries) != len(stack) or any(not entry for entry in entries):
        raise OutputError(
            f"The layer {name!r} has {len(stack)} images but no provenance for each; "
            "synthetic images are exported with it only."
        )
    try:
        return [
            SyntheticImage(
                pixels=plane,
                provenance=Provenance.from_json(
                    entry if isinstance(entry, str) else json.dumps(entry)
                ),
            )
            for plane, entry in zip(stack, entries, strict=True)
        ]
    except (PathfmError, TypeError, ValueError) as error:
        raise OutputError(
            f"The provenance of the layer {name!r} is damaged: {error}."
        ) from error


def export_layer_png(layer: LayerTuple, path: PathLike) -> list[Path]:
    """Write the synthetic images of a layer as PNG with provenance.

    Parameters
    ----------
    layer : (data, attributes, type)
    path : path-like
        Ends in ``.png``. Of several images each gets its number: ``name-1.png`` on.

    Returns
    -------
    list of pathlib.Path
        The files written.

    Raises
    ------
    OutputError
        As for `synthetic_from_layer` and `export_png`.
    """
    images = synthetic_from_layer(layer)
    target = Path(path)
    targets = (
        [target]
        if len(images) == 1
        else [
            target.with_name(f"{target.stem}-{number + 1}{target.suffix}")
            for number in range(len(images))
        ]
    )
    for image, file in zip(images, targets, strict=True):
        export_png(image, file)
    return targets


def images_ndim(data: Any) -> int:
    """Return the number of spatial axes of RGB data: all but the channels."""
    return len(np.shape(data)) - 1


def _grid(
    layer: LayerTuple, mpp: float | None
) -> tuple[npt.NDArray[np.float32], tuple[float, float], float]:
    """Return a heatmap layer's values, level-0 corner ``(x, y)`` and stride."""
    data, attributes, _ = layer
    name = layer_name(attributes)
    level = data[0] if attributes.get("multiscale") else data
    values = np.asarray(level)
    if values.ndim != 2 or attributes.get("rgb") or values.dtype.kind not in "fiub":
        raise OutputError(
            f"The layer {name!r} is no heatmap: it is not one plane of numbers."
        )
    place = layer_place(attributes, 2, mpp=mpp)
    # The corner of the first cell, and of its neighbours to the right and below.
    corner, right, below = place.level0([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5]])
    stride = float(right[0] - corner[0])
    steps = np.array([right - corner, below - corner])
    if stride <= 0 or not np.allclose(steps, np.eye(2) * stride, atol=1e-6 * stride):
        raise OutputError(
            f"The layer {name!r} is turned, sheared or stretched; a heatmap is "
            "exported with square, upright cells only."
        )
    x, y = (_whole(value) for value in corner)
    return values.astype(np.float32), (x, y), _whole(stride)


def _whole(value: float) -> float:
    """Return the whole number that `value` was before it went through micrometres."""
    nearest = round(float(value))
    return (
        nearest if abs(value - nearest) < 1e-6 * max(1.0, abs(value)) else float(value)
    )


def layer_box(
    shape: tuple[int, ...], attributes: Mapping[str, Any], mpp: float | None, ndim: int
) -> tuple[float, float, float, float]:
    """Return the level-0 ``(x, y, width, height)`` that an image layer covers."""
    height, width = shape[:2]
    place = layer_place(attributes, ndim, mpp=mpp)
    ends = np.zeros((2, ndim))
    ends[0, -2:] = -0.5
    ends[1, -2:] = height - 0.5, width - 0.5
    (left, top), (right, bottom) = place.level0(ends)
    return left, top, right - left, bottom - top
