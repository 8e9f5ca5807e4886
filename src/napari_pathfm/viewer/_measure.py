"""Layers > Measure: what the heatmaps on a slide say of the objects on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.viewer._metadata import entry, kind_of
from napari_pathfm.viewer._notices import notify

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


def measure_objects(viewer: ViewerModel) -> None:
    """Put area, heatmap values and the nearest class into the active layer's table.

    The heatmaps are those on the same slide. napari's Features table shows the result,
    and GeoJSON carries the numbers as measurements.
    """
    layer = viewer.layers.selection.active
    if layer is None or layer._type_string not in ("shapes", "points", "labels"):
        notify("warning", "Select a layer of shapes, points or labels to measure.")
        return
    try:
        names = measure(layer, list(viewer.layers))
    except PathfmError as error:
        notify("error", str(error))
        return
    notify(
        "info",
        f"{layer.name}: {', '.join(names[:3])}{' ...' if names[3:] else ''}; see "
        "Layers > Metadata > Features table.",
    )


def measure(layer: Layer, others: list[Layer]) -> list[str]:
    """Measure a layer's objects by the heatmaps among other layers.

    Returns
    -------
    list of str
        The columns of ``layer.features`` that were set.

    Raises
    ------
    PathfmError
        It has no objects that can be measured.
    """
    from napari_pathfm.exports import heatmap_from_layer, measured_features

    maps = [other for other in others if kind_of(other) in ("heatmap", "fine", "map")]
    own = (entry(layer) or {}).get("fingerprint")
    slides = {(entry(m) or {}).get("fingerprint") for m in maps}
    if own is None and len(slides) > 1:
        raise OutputError(
            f"The layer {layer.name!r} does not say on which of {len(slides)} slides "
            "it lies: remove the heatmaps of the others first."
        )
    maps = [m for m in maps if own in (None, (entry(m) or {}).get("fingerprint"))]
    heatmaps = [heatmap_from_layer(m.as_layer_data_tuple()) for m in maps]
    mpp = heatmaps[0].mpp if heatmaps else None
    columns = measured_features(layer.as_layer_data_tuple(), heatmaps, mpp=mpp)
    defaults = getattr(layer, "feature_defaults", None)
    layer.features = {str(n): layer.features[n] for n in layer.features} | columns
    if defaults is not None:
        # napari takes new ones of the last row; what is drawn next is no copy of it.
        kept = {str(name): defaults[name].iloc[0] for name in defaults}
        empty = {
            n: "" if isinstance(c[0], str) else float("nan") for n, c in columns.items()
        }
        layer.feature_defaults = empty | {
            n: v for n, v in kept.items() if n not in empty
        }
    return list(columns)
