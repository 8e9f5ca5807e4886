"""``train``: make the bundled weights again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

RECIPES = ("encoder", "autoencoder", "generator", "export")


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "train", help="the recipes that made the bundled weights; resumes"
    )
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="folder with slides/ and tiles/"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR")
    parser.add_argument("--config", type=Path, metavar="FILE.toml")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Train one part, or export the finished parts as weight files."""
    from napari_pathfm.training import export_bundled, train

    if options.recipe == "export":
        for path in export_bundled(options.runs, options.runs / "bundled"):
            print(path)
        return
    train(options.recipe, options.data, options.runs, config=options.config)
