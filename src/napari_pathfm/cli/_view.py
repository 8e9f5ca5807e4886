"""``view``: napari with slides, objects or a session, and the plugin's panel."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._window import has_display, run_module
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse

# What the viewer opens besides slides.
_OTHERS = (".json", ".geojson", ".geojson.gz")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "view", help="open slides, objects or a session in napari with the panel"
    )
    parser.add_argument(
        "files",
        type=Path,
        nargs="*",
        metavar="FILE",
        help="slides; objects on them (.geojson); one session (.pathfm.json)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Open the window and stay until it is closed."""
    from napari_pathfm.slides import open_slide

    for path in options.files:
        if not path.name.lower().endswith(_OTHERS):
            open_slide(path).close()
        elif not path.is_file():
            raise PathfmError(f"there is no file {path}")
    if not has_display():
        raise PathfmError("there is no display to open napari on: use a desktop")
    files = [str(path) for path in options.files]
    return run_module("napari_pathfm.viewer", files, hidden=False)
