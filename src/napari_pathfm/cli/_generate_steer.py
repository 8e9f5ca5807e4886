"""``generate --steer``: a tile moved towards a class, or from places to others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._frames import write_frames
from napari_pathfm.cli._generation import settings_of
from napari_pathfm.cli._options import point

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, GeneratorSpec, OnStep
    from napari_pathfm.slides import Slide


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of steering."""
    steer = parser.add_argument_group("towards a class or other places")
    steer.add_argument(
        "--steer",
        type=Path,
        metavar="CLASSIFIER.json",
        help="few-shot classifier that `heatmap --save-classifier` wrote; moves the "
        "tile at --at towards a class of it and says what it makes of each step",
    )
    steer.add_argument("--towards", metavar="NAME", help="the class")
    steer.add_argument(
        "--reach",
        type=float,
        metavar="P",
        help="probability of the class at which the last step is told to be (0.999, "
        "or the most that can be had)",
    )
    for name, text in (("like", "to become like"), ("unlike", "to become unlike")):
        steer.add_argument(
            f"--{name}",
            type=point,
            nargs="+",
            action="extend",
            default=[],
            metavar="X,Y",
            help=f"places {text}: the direction in place of the classifier's",
        )


def check(options: argparse.Namespace) -> None:
    """Refuse options that make no sense together, as argparse does."""
    by_class = options.steer is not None
    by_places = bool(options.like or options.unlike)
    options.steering = by_class or by_places
    if by_class != (options.towards is not None):
        options.refuse("--steer names a classifier and --towards a class: give both")
    if options.reach is not None and (by_places or not by_class):
        options.refuse("--reach belongs to --steer without --like and --unlike")
    if bool(options.like) != bool(options.unlike):
        options.refuse("--like and --unlike belong together: give both")
    if options.steering and options.to is not None:
        options.refuse("steer, or walk --to a place; not both")
    if options.steering and options.unconditional:
        options.refuse("steering moves a condition: not --unconditional")
    if options.steering and len(options.at) != 1:
        options.refuse("steering starts at one place: give --at once")


def load(options: argparse.Namespace, spec: GeneratorSpec) -> None:
    """Read the classifier and see that it fits the generator, before models load."""
    options.classifier = None
    if options.steer is not None:
        from napari_pathfm.heatmaps import load_few_shot
        from napari_pathfm.synthesis import check_steering

        options.classifier = load_few_shot(options.steer)
        check_steering(options.classifier, options.towards, spec)


def steer_and_write(
    options: argparse.Namespace,
    slide: Slide,
    generator: Generator,
    encoder: Encoder,
    on_step: OnStep,
) -> dict[str, Any]:
    """Steer, and write the steps, a strip and an animation."""
    from napari_pathfm.synthesis import FRAMES, steer

    made = steer(
        slide,
        options.at[0],
        generator,
        encoder,
        classifier=options.classifier,
        towards=options.towards,
        like=options.like,
        unlike=options.unlike,
        reach=options.reach,
        frames=options.frames or FRAMES,
        on_step=on_step,
        **settings_of(options),
    )
    told = [image.provenance for image in made.images]
    captions = [
        f"{made.towards} {p.fidelity['probability']:.2f}"
        if "probability" in p.fidelity
        else f"{p.details['fraction']:.0%} of the way"
        for p in told
    ]
    (x, y), *_ = options.at
    # A class may be called anything.
    name = "".join(c if c.isalnum() else "-" for c in made.towards)
    stem = f"{slide.name}_{x:.0f}_{y:.0f}_towards_{name}"
    report = write_frames(made, options.out, stem, "steer", captions=captions)
    report["towards"] = made.towards
    for entry, p in zip(report["images"], told, strict=True):
        entry["angle"] = p.details["angle"]
    if made.real_probability is not None:
        report["real_probability"] = round(made.real_probability, 4)
    return report


def lines(report: dict[str, Any]) -> list[str]:
    """Say it for people."""
    said = []
    for entry in report["images"]:
        line = f"{entry['file']}: {entry['angle']:.1f} degrees from the tile, "
        if "probability" in entry:
            line += (
                f"told to be {report['towards']} with probability "
                f"{entry['condition_probability']:.3f}, taken for it with "
                f"{entry['probability']:.3f}"
            )
        else:
            line += f"cosine to it {entry['cosine_to_start']:.3f}"
        said.append(line)
    if "real_probability" in report:
        said.insert(
            0, f"real tile: {report['towards']} {report['real_probability']:.3f}"
        )
    return [
        *said,
        f"{report['strip']}: the real tile and the steps",
        f"{report['animation']}: the steps as an animation (open it in a browser)",
        report["geojson"],
    ]
