"""``evaluate expression``: how well gene expression is told from features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._evaluate_options import (
    add_encoder,
    add_report,
    encoder_of,
    hand_over,
)

if TYPE_CHECKING:
    import argparse

_HELP = """\
PCA and ridge regression from features to the expression of genes, as HEST has it.

FOLDER is a task of HEST-bench, or a folder of tasks: var_50genes.json, splits/*.csv,
patches/*.h5 and adata/*.h5ad.
"""


def add(protocols: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the protocol."""
    from argparse import RawDescriptionHelpFormatter

    parser = protocols.add_parser(
        "expression",
        help="gene expression from patches, as HEST does",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    add_encoder(parser)
    parser.add_argument(
        "--genes",
        default="var_50genes.json",
        metavar="FILE",
        help="name of the list of genes in a task's folder",
    )
    parser.add_argument(
        "--mpp", type=float, metavar="M", help="of the patches, for the report"
    )
    add_report(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Regress and report."""
    from napari_pathfm.evaluation import expression, expression_tasks

    tasks = expression_tasks(options.folder, options.genes)
    encoder = encoder_of(options)
    with progress_bar("patches", "patch") as draw:
        report = expression(
            tasks,
            encoder,
            mpp=options.mpp,
            draws=options.bootstrap,
            seed=options.seed,
            progress=draw,
        )
    lines = [f"{report.facts['encoder']}: {report.facts['n']}"]
    lines += [
        f"{name:>24}: Pearson {found['pearson_mean']}, "
        f"std of folds {found['pearson_std']:.3f}"
        for name, found in report.results["tasks"].items()
    ]
    lines.append(f"{'average':>24}: Pearson {report.results['pearson_mean']}")
    hand_over(report, lines, options)
