"""``demo``: the whole story on a sample slide."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._window import has_display, run_module

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "demo", help="slide, heatmap, synthetic tissue and exports, on a sample slide"
    )
    parser.add_argument("--out", type=Path, default=Path("demo-output"), metavar="DIR")
    parser.add_argument(
        "--no-window", action="store_true", help="do not leave napari open"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the story, on a virtual screen where there is no other."""
    hidden = not has_display()
    arguments = ["--out", str(options.out)]
    if hidden or options.no_window:
        arguments.append("--no-window")
    return run_module("napari_pathfm.viewer.demo", arguments, hidden=hidden)
