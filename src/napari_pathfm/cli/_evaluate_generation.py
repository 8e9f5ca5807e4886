"""``evaluate generation``: how near generated tiles are to real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._evaluate_options import add_report, hand_over
from napari_pathfm.cli._options import add_device, add_weights, count, weights_of
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation import Report

_HELP = """\
Frechet distance, KID, precision, recall, density and coverage of generated tiles,
beside what real tiles score against real ones, and beside the same with one side as
JPEG; and whether generated tiles are copies of real ones.

REAL and GENERATED are folders of pictures. Twice as many real ones are needed. Both
sides must have the same size and codec. No network is needed but for encoders you name.
"""


def add(protocols: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the protocol."""
    from argparse import RawDescriptionHelpFormatter

    parser = protocols.add_parser(
        "generation",
        help="generated tiles against real ones",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("real", type=Path, metavar="REAL")
    parser.add_argument("generated", type=Path, metavar="GENERATED")
    parser.add_argument(
        "--train",
        type=Path,
        metavar="DIR",
        help="real tiles that the generator was trained on; REAL is then held out",
    )
    parser.add_argument(
        "--encoder",
        action="append",
        metavar="NAME",
        help="may be given several times; the first also looks for copies (bundled)",
    )
    add_weights(parser, "first encoder")
    add_device(parser)
    parser.add_argument(
        "--conditioned-by",
        action="append",
        metavar="NAME",
        help="encoder that conditioned the generator; else read from the tiles",
    )
    parser.add_argument("--n", type=count, metavar="N", help="tiles a side; all")
    parser.add_argument(
        "--crop", type=count, metavar="PX", help="cut from the middle of every tile"
    )
    parser.add_argument(
        "--recompress",
        type=int,
        choices=range(1, 101),
        metavar="Q",
        help="send every tile of all sides through JPEG of this quality",
    )
    parser.add_argument(
        "--mpp", type=float, metavar="M", help="of the tiles, for the report"
    )
    add_report(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Compare and report."""
    from napari_pathfm.evaluation import equal_sides, generation

    sides = equal_sides(
        options.real,
        options.generated,
        train=options.train,
        n=options.n,
        crop=options.crop,
        recompress=options.recompress,
        seed=options.seed,
    )
    generators, conditioned_by = _made_by(options.generated)
    for folder in (options.real, options.train):
        if folder is not None and _made_by(folder)[0]:
            raise PathfmError(f"{folder} holds synthetic tiles, not real ones")
    sides.facts["generator"] = generators or None
    with progress_bar("comparisons", "arm") as draw:
        report = generation(
            sides,
            _encoders(options),
            conditioned_by=options.conditioned_by or conditioned_by,
            mpp=options.mpp,
            draws=options.bootstrap,
            seed=options.seed,
            progress=draw,
        )
    hand_over(report, _lines(report), options)


def _encoders(options: argparse.Namespace) -> list[Encoder]:
    from napari_pathfm.encoders import encoder_spec, load_encoder

    loaded = []
    for number, name in enumerate(dict.fromkeys(options.encoder or ["bundled"])):
        spec = encoder_spec(name)
        weights = weights_of(spec, options.weights if number == 0 else None)
        loaded.append(load_encoder(name, weights=weights, device=options.device))
    return loaded


def _made_by(folder: Path) -> tuple[list[str], list[str]]:
    """Name generators, with revision, and encoders in the tiles' provenance."""
    from napari_pathfm.exports import read_provenance

    generators, encoders = set(), set()
    for path in folder.rglob("*.png"):
        try:
            found = read_provenance(path)
        except PathfmError:
            continue  # a picture of somebody else's
        for each in found if isinstance(found, list) else [found]:
            generators.add(f"{each.generator} {each.generator_revision}")
            if each.encoder:
                encoders.add(each.encoder)
    return sorted(generators), sorted(encoders)


def _lines(report: Report) -> list[str]:
    lines = [f"{report.facts['n']} tiles a side, {report.facts['codec']}"]
    for space, arms in report.results["spaces"].items():
        lines.append(f"under {space}:")
        lines += [
            f"{arm:>30}: Frechet {found['Frechet']}, KID {found['KID']}, "
            f"precision {found['precision'].value:.2f}, recall "
            f"{found['recall'].value:.2f}, density {found['density'].value:.2f}, "
            f"coverage {found['coverage'].value:.2f}"
            for arm, found in arms.items()
        ]
    copies = report.results["copies"]
    ways = ", ".join(f"{way} {s:.0%}" for way, s in copies["planted_found"].items())
    lines.append(
        f"copies: {copies['flagged']:.1%} of generated flagged, "
        f"{copies['false_alarms']:.1%} of {copies['originals']} real that are none; "
        f"planted found: {ways}"
    )
    return lines
