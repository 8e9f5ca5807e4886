"""``evaluate slides``: how well slide-level heads do, and a head to keep."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._evaluate_options import add_report, hand_over
from napari_pathfm.cli._options import count
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse

_HELP = """\
Gated attention (ABMIL) on embedding stores, nested cross-validation by patient as
Phikon has it, and ensembles that average predictions.

STORES is a folder of *.zarr that `embed` wrote; the table has the columns slide, label
and perhaps patient. With --head, an ensemble is then trained on all slides and kept.
"""


def add(protocols: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the protocol."""
    from argparse import RawDescriptionHelpFormatter

    parser = protocols.add_parser(
        "slides",
        help="slide-level heads, nested cross-validation as Phikon",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("stores", type=Path, metavar="STORES")
    parser.add_argument("--labels", type=Path, metavar="CSV", required=True)
    parser.add_argument("--folds", type=count, default=5, metavar="N")
    parser.add_argument("--epochs", type=count, default=50, metavar="N")
    parser.add_argument(
        "--tiles", type=count, default=1000, metavar="N", help="of a slide, an epoch"
    )
    parser.add_argument(
        "--head", type=Path, metavar="FILE", help="a .safetensors file to keep"
    )
    add_report(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Cross-validate, report, and train the head that was asked for."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.evaluation import (
        Schedule,
        labelled_slides,
        save_head,
        train_head,
        validate_slides,
    )

    paths = sorted(options.stores.glob("*.zarr"))
    if not paths:
        raise PathfmError(f"{options.stores} holds no embedding store: run embed first")
    if options.folds < 2:
        raise PathfmError("one fold is no cross-validation: give --folds 2 at least")
    slides = labelled_slides([open_store(path) for path in paths], options.labels)
    schedule = Schedule(epochs=options.epochs, tiles=options.tiles)
    with progress_bar("outer folds", "fold") as draw:
        report = validate_slides(
            slides,
            folds=options.folds,
            schedule=schedule,
            draws=options.bootstrap,
            seed=options.seed,
            progress=draw,
        )
    lines = [f"{report.facts['n']}, {report.facts['protocol']}"]
    lines += [f"{name:>24}: AUC {v}" for name, v in report.results["auc"].items()]
    if options.head is not None:
        head = train_head(
            slides, report, folds=options.folds, schedule=schedule, seed=options.seed
        )
        save_head(head, options.head)
        lines.append(f"{options.head}: {len(head.networks)} networks")
    hand_over(report, lines, options)
