"""What napari's File > Save offers for our layers.

Each refuses layers that are not its own with one line; napari shows it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from psygnal import SignalInstance

from napari_pathfm.errors import OutputError
from napari_pathfm.viewer._metadata import KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    LayerTuple = tuple[Any, Mapping[str, Any], str]

#: A file was written: how (``"geojson"``, ``"pixels"``, ``"png"``), where, and which
#: layers. napari's writers know no viewer; a session hears whether they were its own.
written = SignalInstance((str, str, list), name="written")


def write_geojson(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write shapes, points, labels, heatmaps and synthetic images as QuPath objects.

    Parameters
    ----------
    path : str
        Where; ``.geojson`` is added if it names no other ending.
    layers : sequence of layer data tuples
        A slide among them is passed over.

    Returns
    -------
    list of str
        The file written.
    """
    from napari_pathfm.exports import export_layers_geojson

    target = _target(path, ".geojson", ".json", ".geojson.gz")
    export_layers_geojson(list(layers), target)
    written.emit("geojson", str(target.absolute()), list(layers))
    return [str(target)]


def write_ome_tiff(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write heatmaps or synthetic tissue as pyramidal OME-TIFF, with place and origin.

    Parameters
    ----------
    path : str
        Where; ``.ome.tif`` is added if it names no other ending.
    layers : sequence of layer data tuples
        Heatmaps of one grid, or one layer of synthetic images, which are numbered.

    Returns
    -------
    list of str
        The files written.
    """
    return _write_pixels(path, layers, ".ome.tif", ".ome.tiff")


def write_ome_zarr(path: str, layers: Sequence[LayerTuple]) -> list[str]:
    """Write heatmaps or synthetic tissue as OME-Zarr 0.5, with place and provenance.

    Parameters
    ----------
    path : str
        Where; ``.ome.zarr`` is added if it names no other ending.
    layers : sequence of layer data tuples
        As for `write_ome_tiff`.

    Returns
    -------
    list of str
        The folders written.
    """
    return _write_pixels(path, layers, ".ome.zarr")


def _write_pixels(path: str, layers: Sequence[LayerTuple], *endings: str) -> list[str]:
    from napari_pathfm.exports import layer_pixels, write_each

    for _, attributes, _ in layers:
        _require(
            attributes,
            ("heatmap", "fine", "map", "synthetic"),
            "a heatmap or synthetic tissue",
            "an image writer of napari's own",
        )
    target = _target(path, *endings)
    files = write_each(target, layer_pixels(list(layers)))
    written.emit("pixels", str(target.absolute()), list(layers))
    return [str(file) for file in files]


def write_synthetic_png(
    path: str, data: Any, attributes: Mapping[str, Any]
) -> list[str]:
    """Write synthetic images as PNG that say what they are; several are numbered.

    Parameters
    ----------
    path : str
        Where; ``.synthetic.png`` is added if it names no other ending.
    data, attributes
        Of one image layer.

    Returns
    -------
    list of str
        The files written.
    """
    from napari_pathfm.exports import export_layer_png

    _require(
        attributes,
        ("synthetic",),
        "generated tissue",
        "an image writer of napari's own",
    )
    target = _target(path, ".synthetic.png", ".png")
    layer = (data, attributes, "image")
    files = export_layer_png(layer, target)
    written.emit("png", str(target.absolute()), [layer])
    return [str(file) for file in files]


def _require(
    attributes: Mapping[str, Any], kinds: tuple[str, ...], what: str, instead: str
) -> None:
    ours = (attributes.get("metadata") or {}).get(KEY) or {}
    if ours.get("kind") not in kinds:
        raise OutputError(
            f"The layer {attributes.get('name', 'image')!r} is not {what} of this "
            f"plugin: select one, or save with {instead}."
        )


def _target(path: str, *endings: str) -> Path:
    """Add the first ending where a name typed into the dialog has none of them."""
    target = Path(path)
    if target.name.lower().endswith(endings):
        return target
    target = target.with_name(target.name + endings[0])
    # The dialog has asked about another name.
    if target.exists():
        raise OutputError(f"{target} exists already: choose it, or another name.")
    return target
