"""``heatmap``: what a store's tiles are like, by points, labels, or themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._heatmap_fine import add_fine, fine
from napari_pathfm.cli._options import add_json, count, place, show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.cli._heatmap_maps import Maps
    from napari_pathfm.heatmaps import UnitVectors

GEOJSON = (".geojson", ".geojson.gz")
PIXELS = (".ome.tif", ".ome.tiff", ".ome.zarr")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "heatmap", help="similarity, few-shot classes, components, clusters, outliers"
    )
    parser.add_argument("store", type=Path, metavar="STORE", help="from `embed`")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--like",
        type=place,
        nargs="+",
        action="extend",
        metavar="X,Y|FILE",
        help="similarity to points in level-0 pixels, or to the regions of a GeoJSON",
    )
    what.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="few-shot classes from the classified objects of FILE.geojson",
    )
    what.add_argument(
        "--classifier",
        type=Path,
        metavar="FILE",
        help="few-shot classes by a classifier that --save-classifier wrote",
    )
    what.add_argument(
        "--components",
        type=count,
        nargs="?",
        const=3,
        metavar="N",
        help="principal components (3)",
    )
    what.add_argument(
        "--clusters",
        type=count,
        nargs="?",
        const=0,
        metavar="K",
        help="k-means clusters; without K as many as separate best",
    )
    what.add_argument(
        "--outliers", action="store_true", help="distance to the nearest other tiles"
    )
    what.add_argument(
        "--head",
        type=Path,
        metavar="FILE",
        help="attention and scores of a slide-level head of `evaluate slides --head`",
    )
    parser.add_argument(
        "--unlike",
        type=place,
        nargs="+",
        action="extend",
        default=[],
        metavar="X,Y|FILE",
        help="with --like: points or regions to be unlike",
    )
    parser.add_argument(
        "--reduce",
        choices=("mean", "max"),
        default="mean",
        help="with --like: compare with the mean of the points, or the nearest of them",
    )
    parser.add_argument(
        "--save-classifier",
        type=Path,
        metavar="FILE",
        help="with --labels: keep the classifier for other slides, as JSON",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.ome.tif or FILE.ome.zarr (pixels in micrometres), or FILE.geojson "
        "(QuPath tiles)",
    )
    add_fine(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the heatmap."""
    from napari_pathfm.cli import _heatmap_maps as make
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import export_maps
    from napari_pathfm.heatmaps import UnitVectors

    if not options.out.name.lower().endswith(GEOJSON + PIXELS):
        raise OutputError(
            f"{options.out} has no known suffix: use one of "
            f"{', '.join(PIXELS + GEOJSON)}"
        )
    if options.unlike and not options.like:
        raise OutputError("--unlike goes with --like")
    if options.fine and not options.like:
        raise OutputError("--fine goes with --like")
    if options.save_classifier and not options.labels:
        raise OutputError("--save-classifier goes with --labels")
    store = open_store(options.store)
    made: Maps
    if options.fine:
        made = fine(store, options)
    elif options.head:
        made = make.attended(store, options.head)
    else:
        made = _of_vectors(UnitVectors.of(store), options)
    cells = export_maps(options.out, made.heatmaps, made.category)
    unit = "patches" if options.fine else "tiles"
    report: dict[str, Any] = {"out": str(options.out), unit: cells} | made.report
    lines = [f"{options.out}: {cells} {unit}, {made.lines[0]}", *made.lines[1:]]
    show(report, lines, as_json=options.json)


def _of_vectors(vectors: UnitVectors, options: argparse.Namespace) -> Maps:
    from napari_pathfm.cli import _heatmap_maps as make

    if options.like:
        return make.similar(vectors, options.like, options.unlike, options.reduce)
    if options.labels:
        return make.labelled(vectors, options.labels, options.save_classifier)
    if options.classifier:
        return make.classified(vectors, options.classifier)
    if options.components is not None:
        return make.principal(vectors, options.components)
    if options.clusters is not None:
        return make.clustered(vectors, options.clusters or None)
    return make.odd(vectors)
