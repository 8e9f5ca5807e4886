"""``export --to FILE.ome.tif``: heatmaps and synthetic tissue as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.cli._options import show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from napari_pathfm.exports import PlacedPixels

PIXELS = (".ome.tif", ".ome.tiff", ".ome.zarr")


def run_pixels(options: argparse.Namespace) -> None:
    """Write the pictures."""
    from napari_pathfm.exports import write_each

    pictures = _pictures(options.inputs, options.mpp)
    files = write_each(options.out, pictures)
    report = [
        {
            "out": str(file),
            "kind": placed.kind,
            "channels": list(placed.channels),
            "pixel_um": placed.pixel_um,
        }
        for file, placed in zip(files, pictures, strict=True)
    ]
    lines = [
        f"{found['out']}: {found['kind']}, {found['pixel_um']:.4g} µm per pixel"
        for found in report
    ]
    show(report, lines, as_json=options.json)


def _pictures(inputs: list[Path], mpp: float | None) -> list[PlacedPixels]:
    from napari_pathfm.exports import (
        heatmap_pixels,
        read_heatmaps,
        read_pixels,
        read_synthetic,
        synthetic_pixels,
    )

    suffixes = {path.suffix.lower() for path in inputs}
    if suffixes == {".png"}:
        return [
            synthetic_pixels(read_synthetic(path), mpp=mpp, name=path.stem)
            for path in inputs
        ]
    if not all(path.name.lower().endswith(PIXELS) for path in inputs):
        raise OutputError(
            "a picture is made of synthetic PNGs, or of heatmaps: make those with "
            "`napari-pathfm heatmap STORE --like X,Y --out FILE.ome.tif`"
        )
    if len(inputs) == 1:
        return [read_pixels(inputs[0])]
    heatmaps = [heatmap for path in inputs for heatmap in read_heatmaps(path)]
    return [heatmap_pixels(heatmaps)]
