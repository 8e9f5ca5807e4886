"""``evaluate probe``: how well labels are told from features."""

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
from napari_pathfm.cli._options import count

if TYPE_CHECKING:
    import argparse

_HELP = """\
k nearest neighbours and a linear probe on frozen features, as EVA has it.

FOLDER holds CLASS/*.png; or train/CLASS/* and test/CLASS/*; or pictures side by side
whose labels --label or --labels tells. With --group, no case is on both sides.
"""


def add(protocols: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the protocol."""
    from argparse import RawDescriptionHelpFormatter

    parser = protocols.add_parser(
        "probe",
        help="k-NN and linear probes on labelled tiles, as EVA does",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    add_encoder(parser)
    parser.add_argument(
        "--label", metavar="REGEX", help="its first (...) in a file's name is the label"
    )
    parser.add_argument(
        "--group",
        metavar="REGEX",
        help="its first (...) in a file's name is the case, slide or patient",
    )
    parser.add_argument(
        "--labels",
        type=Path,
        metavar="CSV",
        help="columns file, label, and perhaps group and split (train, test)",
    )
    parser.add_argument(
        "--grid",
        type=count,
        metavar="N",
        help="mean of N x N tiles cut at full resolution; else a picture is resized",
    )
    parser.add_argument(
        "--k", type=count, action="append", metavar="N", help="neighbours: 1, 5, 20"
    )
    parser.add_argument(
        "--mpp", type=float, metavar="M", help="of the pictures, for the report"
    )
    add_report(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Probe and report."""
    from napari_pathfm.evaluation import labelled_tiles, probe

    tiles = labelled_tiles(
        options.folder,
        label=options.label,
        group=options.group,
        table=options.labels,
    )
    encoder = encoder_of(options)
    with progress_bar("tiles", "tile") as draw:
        report = probe(
            tiles,
            encoder,
            grid=options.grid,
            mpp=options.mpp,
            neighbours=tuple(options.k or (1, 5, 20)),
            draws=options.bootstrap,
            seed=options.seed,
            progress=draw,
        )
    figures = report.results["balanced_accuracy"]
    lines = [f"{report.facts['encoder']}: {report.facts['n']}; {report.facts['split']}"]
    lines += [f"{name:>30}: {value}" for name, value in figures.items()]
    hand_over(report, lines, options)
