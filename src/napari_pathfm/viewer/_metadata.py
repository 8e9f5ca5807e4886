"""What a layer of ours says about itself: ``metadata["napari_pathfm"]``.

The only place that knows the key. The entry is JSON-serialisable, so that sessions and
writers can carry it, and versioned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from napari.layers import Layer

    from napari_pathfm.slides import Slide

# A "heatmap" is the panel's own, which follows the prompts, as does a "fine" one, patch
# by patch in the view; a "map" came from a file.
# A "virtual" slide is all synthetic, and lazy.
# "labels" are painted; "classes" are what a classifier makes of them, and a
# "suggestion" is the tile to label next, and "found" the one that a search led to.
Kind = Literal[
    "slide",
    "tissue",
    "heatmap",
    "fine",
    "map",
    "synthetic",
    "virtual",
    "difference",
    "prompts",
    "preview",
    "objects",
    "labels",
    "suggestion",
    "found",
    "classes",
    "mask",
]

KEY = "napari_pathfm"
VERSION = 1


def slide_entry(slide: Slide) -> dict[str, Any]:
    """Describe a slide, for the layer that shows it."""
    return {
        "version": VERSION,
        "kind": "slide",
        "path": str(slide.path),
        "fingerprint": slide.fingerprint,
        "mpp": slide.mpp,
        "mpp_source": slide.mpp_source,
        "dimensions": list(slide.dimensions),
        "vendor": slide.vendor,
        "objective": slide.objective,
    }


def entry_for(
    kind: Kind, slide: Mapping[str, Any], **more: Any
) -> dict[str, dict[str, Any]]:
    """Make the metadata of a layer that shows something of a slide.

    Parameters
    ----------
    kind : str
        What it shows.
    slide : mapping
        The slide layer's entry.
    **more
        Further JSON-serialisable facts.
    """
    own: dict[str, Any] = {"version": VERSION, "kind": kind}
    own |= {key: slide.get(key) for key in ("path", "fingerprint", "mpp")}
    return {KEY: own | more}


def entry(layer: Layer | None) -> dict[str, Any] | None:
    """Give a layer's entry, or None where the layer is not ours."""
    if layer is None:
        return None
    found = layer.metadata.get(KEY)
    return found if isinstance(found, dict) and "kind" in found else None


def kind_of(layer: Layer | None) -> Kind | None:
    """Give what a layer of ours shows, or None."""
    found = entry(layer)
    return None if found is None else found["kind"]


def layers_of(
    layers: Iterable[Layer], kind: Kind, fingerprint: str | None = None
) -> list[Layer]:
    """Find our layers of a kind, of one slide if `fingerprint` names it."""
    found = []
    for layer in layers:
        own = entry(layer)
        if own is None or own["kind"] != kind:
            continue
        if fingerprint is None or own.get("fingerprint") == fingerprint:
            found.append(layer)
    return found
