"""``search``: tiles like a place, over the stores of many slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import add_json, count, point, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("search", help="tiles like a place, over many slides")
    parser.add_argument("store", type=Path, metavar="STORE", help="with the place")
    parser.add_argument(
        "--at",
        type=point,
        nargs="+",
        required=True,
        metavar="X,Y",
        help="points in level-0 pixels; several mean their mean",
    )
    parser.add_argument(
        "--among",
        type=Path,
        nargs="+",
        metavar="STORE",
        help="where to look (the same store)",
    )
    parser.add_argument(
        "--n", type=count, default=20, metavar="N", help="how many to give (20)"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="write a table as well: FILE.csv or FILE.parquet",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Search, and say what was found."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import write_table
    from napari_pathfm.heatmaps import Hit, search

    query = open_store(options.store)
    stores = [open_store(path) for path in options.among or [options.store]]
    hits = search(query, options.at, stores, options.n)
    if options.out is not None:
        write_table(
            options.out,
            {name: [hit[i] for hit in hits] for i, name in enumerate(Hit._fields)},
        )
    report = {"hits": [hit._asdict() for hit in hits]}
    lines = [
        f"{hit.score:.3f}  {Path(hit.store).name}  {hit.x:.0f},{hit.y:.0f}"
        for hit in hits
    ]
    show(report, lines, as_json=options.json)
