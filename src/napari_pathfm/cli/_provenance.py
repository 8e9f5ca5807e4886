"""``provenance``: what made a synthetic image."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import add_json, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("provenance", help="what made a synthetic image")
    parser.add_argument("file", type=Path, metavar="FILE.png")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the provenance that the file carries."""
    from napari_pathfm.exports import read_provenance

    found = read_provenance(options.file)
    entries = found if isinstance(found, list) else [found]
    plain = [entry.to_dict() for entry in entries]
    lines = []
    for entry in plain:
        lines += [f"{key:<20} {value}" for key, value in entry.items()] + [""]
    report = plain if isinstance(found, list) else plain[0]
    show(report, lines[:-1], as_json=options.json)
