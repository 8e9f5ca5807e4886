"""``search``: tiles like a place, over the stores of many slides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._left_out import LeftOut
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
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--among",
        type=Path,
        nargs="+",
        metavar="STORE",
        help="where to look: stores, and folders of them (the same store)",
    )
    where.add_argument(
        "--index",
        type=Path,
        metavar="FILE",
        help="look in an index that `napari-pathfm index` has built of many stores",
    )
    parser.add_argument(
        "--others", action="store_true", help="leave out the slide with the place"
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
    from napari_pathfm.embeddings import find_stores, open_store
    from napari_pathfm.exports import write_table
    from napari_pathfm.heatmaps import Hit, open_index, search

    query = open_store(options.store)
    left_out = LeftOut()
    with progress_bar("search", "tile") as progress:
        hits = search(
            query,
            options.at,
            open_index(options.index)
            if options.index is not None
            else find_stores(options.among or [options.store]),
            options.n,
            others=options.others,
            on_left_out=left_out,
            progress=progress,
        )
    if options.out is not None:
        write_table(
            options.out,
            {name: [hit[i] for hit in hits] for i, name in enumerate(Hit._fields)},
        )
    left_out.tell()
    report = {"hits": [hit._asdict() for hit in hits], "left_out": left_out.stores}
    lines = [
        f"{hit.score:.3f}  {Path(hit.store).name}  {hit.x:.0f},{hit.y:.0f}"
        for hit in hits
    ]
    show(report, lines, as_json=options.json)
