"""What the protocols' options have in common, and how a report is handed over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import (
    add_device,
    add_json,
    add_weights,
    count,
    show,
    weights_of,
)

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation import Report


def add_encoder(parser: argparse.ArgumentParser) -> None:
    """Add ``--encoder``, ``--weights``, ``--pooling`` and ``--device``."""
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="h0-mini as soon as its weights are here, else bundled; see `models`",
    )
    add_weights(parser, "encoder")
    parser.add_argument(
        "--pooling",
        choices=["cls", "cls+mean"],
        help="what stands for a tile: CLS, or CLS and the mean of the patch tokens",
    )
    add_device(parser)


def add_report(parser: argparse.ArgumentParser) -> None:
    """Add ``--bootstrap``, ``--seed``, ``--out`` and ``--json``."""
    parser.add_argument(
        "--bootstrap",
        type=count,
        default=1000,
        metavar="N",
        help="draws for the confidence intervals",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("evaluation"),
        metavar="DIR",
        help="where PROTOCOL.json and PROTOCOL.html go",
    )
    add_json(parser)


def encoder_of(options: argparse.Namespace) -> Encoder:
    """Load the encoder that was asked for."""
    from napari_pathfm.encoders import default_encoder, encoder_spec, load_encoder

    spec = encoder_spec(options.encoder or default_encoder())
    return load_encoder(
        spec.name,
        weights=weights_of(spec, options.weights),
        device=options.device,
        pooling=options.pooling,
    )


def hand_over(report: Report, lines: list[str], options: argparse.Namespace) -> None:
    """Write the report, and print it in short."""
    from napari_pathfm.evaluation import write_report

    data, page = write_report(report, options.out)
    written = report.to_json() | {"files": [str(data), str(page)]}
    show(written, [*lines, f"{data}, {page}"], as_json=options.json)
