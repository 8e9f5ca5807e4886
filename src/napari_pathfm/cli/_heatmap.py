"""``heatmap``: what a store's tiles have in common with chosen points."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._export_pixels import PIXELS
from napari_pathfm.cli._options import add_json, point, show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

GEOJSON = (".geojson", ".geojson.gz")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("heatmap", help="similarity of every tile to points")
    parser.add_argument("store", type=Path, metavar="STORE", help="from `embed`")
    parser.add_argument(
        "--like",
        type=point,
        nargs="+",
        action="extend",
        required=True,
        metavar="X,Y",
        help="points to be like, in level-0 pixels",
    )
    parser.add_argument(
        "--unlike",
        type=point,
        nargs="+",
        action="extend",
        default=[],
        metavar="X,Y",
        help="points to be unlike",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.ome.tif or FILE.ome.zarr (pixels in micrometres), or FILE.geojson "
        "(QuPath tiles)",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the heatmap."""
    import numpy as np

    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import (
        export_heatmap_geojson,
        heatmap_pixels,
        write_pixels,
    )
    from napari_pathfm.heatmaps import similarity

    name = options.out.name.lower()
    if not name.endswith(GEOJSON + PIXELS):
        raise OutputError(
            f"{options.out} has no known suffix: use one of "
            f"{', '.join(PIXELS + GEOJSON)}"
        )
    heatmap = similarity(open_store(options.store), options.like, options.unlike)
    if name.endswith(PIXELS):
        write_pixels(options.out, heatmap_pixels([heatmap]))
    else:
        export_heatmap_geojson(heatmap, options.out)
    values = heatmap.values[~np.isnan(heatmap.values)]
    report = {
        "out": str(options.out),
        "tiles": len(values),
        "min": round(float(values.min()), 4),
        "mean": round(float(values.mean()), 4),
        "max": round(float(values.max()), 4),
    }
    lines = [
        f"{options.out}: {report['tiles']} tiles, similarity {report['min']:.3f} to "
        f"{report['max']:.3f}, mean {report['mean']:.3f}"
    ]
    show(report, lines, as_json=options.json)
