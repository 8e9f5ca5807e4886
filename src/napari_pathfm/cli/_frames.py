"""Frames from one place, written: a PNG each, a strip, an animation, the region."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from napari_pathfm.synthesis import PlacedImages


def fractions(made: PlacedImages) -> list[float]:
    """How far each frame is on its way."""
    return [round(i.provenance.details["fraction"], 4) for i in made.images]


def write_frames(
    made: PlacedImages,
    folder: Path,
    stem: str,
    kind: str,
    *,
    captions: Sequence[str],
    target: Any = None,
) -> dict[str, Any]:
    """Write everything that is made of frames, and report the files."""
    from napari_pathfm.exports import (
        export_animation,
        export_contact_sheet,
        export_png,
        synthetic_features,
        write_geojson,
    )

    entries = []
    for number, image in enumerate(made.images):
        file = folder / f"{stem}_frame{number:02d}.png"
        export_png(image, file)
        entries.append(
            {
                "file": str(file),
                "fraction": round(image.provenance.details["fraction"], 4),
                **image.provenance.fidelity,
            }
        )
    strip, animation = folder / f"{stem}_strip.png", folder / f"{stem}_{kind}.png"
    export_contact_sheet(
        made.images,
        strip,
        captions=captions,
        source=made.source,
        target=target,
        columns=len(entries) + (2 if target is not None else 1),
    )
    export_animation(made.images, animation)
    region = folder / f"{stem}.geojson"
    write_geojson(region, synthetic_features(made.images, made.box))
    return {
        "images": entries,
        "strip": str(strip),
        "animation": str(animation),
        "geojson": str(region),
        "box": list(made.box),
    }
