"""``view``: napari with slides and the plugin's panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._window import has_display, run_module
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("view", help="open slides in napari with the panel")
    parser.add_argument("slides", type=Path, nargs="*", metavar="SLIDE")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Open the window and stay until it is closed."""
    from napari_pathfm.slides import open_slide

    for path in options.slides:
        open_slide(path).close()
    if not has_display():
        raise PathfmError("there is no display to open napari on: use a desktop")
    slides = [str(path) for path in options.slides]
    return run_module("napari_pathfm.viewer", slides, hidden=False)
