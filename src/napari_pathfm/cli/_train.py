"""``train``: the recipes, each with a config; resumes by itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "train", help="train a model by one of the recipes; goes on where it stopped"
    )
    parser.add_argument(
        "recipe", help="a recipe; `list` names them, `bundled-export` writes weights"
    )
    parser.add_argument(
        "--config", metavar="FILE.toml", help="a file, or the name of a shipped config"
    )
    parser.add_argument(
        "--out", type=Path, metavar="RUN", help="folder of the run, new or begun"
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="what the config's paths start from"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        help="goes before the config; may be repeated",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """List the recipes, train by one, or export the finished bundled runs."""
    from napari_pathfm.training import export_bundled, listing, train

    if options.recipe == "list":
        for name, (title, configs) in listing().items():
            print(f"{name:22}{title}")
            print(f"{'':22}configs: {', '.join(configs)}")
        return
    if options.out is None:
        raise PathfmError("say where the run is kept: --out RUN")
    if options.recipe == "bundled-export":
        for path in export_bundled(options.out, options.out / "bundled"):
            print(path)
        return
    train(
        options.recipe,
        options.out,
        config=options.config,
        data=options.data,
        settings=options.set,
    )
