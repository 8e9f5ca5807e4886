"""``index``: many stores as one file that `search` looks in without reading them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._left_out import LeftOut
from napari_pathfm.cli._options import add_json, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("index", help="an index over many stores, for search")
    parser.add_argument(
        "stores",
        type=Path,
        nargs="+",
        metavar="STORE",
        help="stores of one encoder, and folders of them",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the index"
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Build it, and say of what."""
    from napari_pathfm.embeddings import find_stores
    from napari_pathfm.heatmaps import build_index

    left_out = LeftOut()
    with progress_bar("index", "tile") as progress:
        index = build_index(
            find_stores(options.stores),
            options.out,
            on_left_out=left_out,
            progress=progress,
        )
    left_out.tell()
    report = {
        "index": str(index.path),
        "stores": [str(path) for path in index.stores],
        "tiles": len(index),
        "left_out": left_out.stores,
    }
    count = len(index.stores)
    of = f"{count:,} store{'' if count == 1 else 's'}"
    line = f"{index.path}: {len(index):,} tiles of {of}"
    show(report, [line], as_json=options.json)
