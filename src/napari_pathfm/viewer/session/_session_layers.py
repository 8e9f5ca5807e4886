"""The other layers of a session file: drawn, imported, synthetic.

What follows from prompts and stores (the panel's heatmap, the tissue outline, previews,
virtual slides) is made again, not kept.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import KEY, entry, kind_of
from napari_pathfm.viewer.session._synthetic_layers import mark_synthetic

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from napari.layers import Layer

    from napari_pathfm.exports import PlacedPixels
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk

_MADE_AGAIN = (
    "slide",
    "tissue",
    "heatmap",
    "fine",
    "prompts",
    "preview",
    "virtual",
    "difference",
    "labels",
    "classes",
    "suggestion",
    "found",
)
_LAYER_TYPES = ("shapes", "points", "labels")


class LayersSection:
    """Layers that a person has drawn, opened or had made."""

    name = "layers"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give a list; what each consists of lies in the session's folder."""
        kept = []
        for layer in session.viewer.layers:
            kind = kind_of(layer)
            if kind in _MADE_AGAIN:
                continue
            try:
                facts = _written(session, layer, bulk)
            except PathfmError as error:
                bulk.told.append(f"The layer {layer.name!r} was not kept: {error}")
                continue
            if facts is None:
                continue
            common = {
                "name": layer.name,
                "visible": bool(layer.visible),
                "opacity": float(layer.opacity),
            }
            kept.append(common | facts)
        return kept or None

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Add them; one that is damaged is told, and the others come."""
        from napari.layers import Layer

        if not isinstance(data, list):
            raise TypeError("they are no list")
        for facts in data:
            name = str(facts["name"])[:200]
            try:
                made = (
                    _read_pixels(facts, bulk)
                    if facts["kind"] == "pixels"
                    else _read_drawn(facts, bulk)
                )
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                yield f"The layer {name!r} was left out: it is damaged ({error})."
                continue
            except PathfmError as error:
                yield f"The layer {name!r} was left out: {error}."
                continue
            for content, attributes, kind in made:
                attributes = dict(attributes) | {
                    "name": name,
                    "visible": bool(facts["visible"]),
                    "opacity": min(max(float(facts["opacity"]), 0.0), 1.0),
                }
                layer = Layer.create(content, attributes, kind)
                session.viewer.add_layer(layer)
                if kind_of(layer) == "synthetic":
                    mark_synthetic(layer)


def _written(session: Session, layer: Layer, bulk: Bulk) -> dict[str, Any] | None:
    """Keep one layer; None where there is nothing to keep."""
    kind = kind_of(layer)
    if kind in ("map", "synthetic"):
        return _write_pixels(layer, bulk)
    if layer._type_string in _LAYER_TYPES and not getattr(layer, "multiscale", False):
        empty = not (np.any(layer.data) if _is_labels(layer) else len(layer.data))
        return None if empty else _write_drawn(session, layer, bulk)
    bulk.told.append(
        f"The layer {layer.name!r} was not kept: sessions keep shapes, points, labels, "
        "heatmaps and synthetic tissue."
    )
    return None


def _is_labels(layer: Layer) -> bool:
    return bool(layer._type_string == "labels")


def _write_drawn(session: Session, layer: Layer, bulk: Bulk) -> dict[str, Any]:
    """Keep shapes, points and labels as QuPath objects, by their ids."""
    from napari_pathfm.exports import export_layers_geojson

    own = dict(entry(layer) or {})
    current = session.current
    if own.get("mpp") is None and current is not None and not _in_pixels(layer):
        # Drawn by hand, it knows no slide: it is that of whatever is worked on.
        own |= {"mpp": current.mpp, "fingerprint": current.fingerprint}
    content = layer.as_layer_data_tuple()

    def write(path: Path) -> None:
        export_layers_geojson([content], path, mpp=own.get("mpp"))

    name = bulk.keep(_key(layer), ".geojson", write)
    return {
        "kind": "objects",
        "type": layer._type_string,
        "file": name,
        "entry": {key: own.get(key) for key in ("path", "fingerprint", "mpp")},
    }


def _read_drawn(facts: dict[str, Any], bulk: Bulk) -> list[Any]:
    from napari_pathfm.exports import objects_to_layers, read_geojson

    if facts["type"] not in _LAYER_TYPES:
        raise ValueError("its type is not known")
    own = facts["entry"]
    mpp = own.get("mpp")
    if mpp is not None and not 0.01 <= float(mpp) <= 100:
        raise ValueError("its pixel size is none")
    return list(
        objects_to_layers(
            read_geojson(bulk.file(facts["file"])),
            mpp=mpp,
            entry={key: own.get(key) for key in ("path", "fingerprint")},
            # As many as there were stay what they were.
            most_shapes=0 if facts["type"] == "labels" else 10**9,
        )
    )


def _in_pixels(layer: Layer) -> bool:
    return all(str(unit) == "pixel" for unit in layer.units)


def _write_pixels(layer: Layer, bulk: Bulk) -> dict[str, Any]:
    """Keep heatmaps from files and synthetic tissue, with what made them."""
    from napari_pathfm.exports import layer_pixels, write_pixels

    files = []
    pictures = layer_pixels([layer.as_layer_data_tuple()])
    for number, placed in enumerate(pictures):

        def write(path: Path, placed: PlacedPixels = placed) -> None:
            write_pixels(path, placed)

        key = _key(layer) + number.to_bytes(4)
        files.append(bulk.keep(key, ".ome.tif", write))
    own = entry(layer) or {}
    facts = {"kind": "pixels", "files": files, "path": own.get("path")}
    return facts | {"mpp": own.get("mpp")}


def _read_pixels(facts: dict[str, Any], bulk: Bulk) -> list[Any]:
    from napari_pathfm.exports import pixels_to_layers, read_pixels

    files = [bulk.file(name) for name in facts["files"]]
    if not files:
        raise ValueError("it has no pictures")
    layers = [
        layer
        for file in files
        for layer in pixels_to_layers(
            read_pixels(file), mpp=facts["mpp"], entry={"path": facts["path"]}
        )
    ]
    first, attributes, kind = layers[0]
    if len(layers) == 1:
        return layers
    # Several synthetic images of one place were one layer with a slider.
    stack = np.stack([pixels for pixels, _, _ in layers])
    own = attributes["metadata"][KEY]
    own["provenance"] = [
        one for _, other, _ in layers for one in other["metadata"][KEY]["provenance"]
    ]
    attributes = dict(attributes)
    attributes["scale"] = (1.0, *attributes["scale"])
    attributes["translate"] = (0.0, *attributes["translate"])
    attributes["units"] = ("pixel", *attributes["units"])
    del first
    return [(stack, attributes, kind)]


def _key(layer: Layer) -> bytes:
    """Give what changes whenever a layer's contents or place do."""
    digest = hashlib.sha256()
    data = layer.data if isinstance(layer.data, list) else [layer.data]
    for part in data:
        array = np.ascontiguousarray(part)
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(array.tobytes())
    place = (layer._type_string, layer.scale, layer.translate, layer.units, layer.name)
    digest.update(repr(place).encode())
    digest.update(repr(getattr(layer, "shape_type", "")).encode())
    features = getattr(layer, "features", None)
    if features is not None:
        digest.update(features.to_json().encode())
    return digest.digest()
