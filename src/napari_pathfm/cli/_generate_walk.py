"""``generate --to``: the way from one place to another, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._frames import fractions, write_frames
from napari_pathfm.cli._generation import settings_of
from napari_pathfm.cli._options import count, point

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a walk."""
    walk = parser.add_argument_group("from one place to another")
    walk.add_argument(
        "--to",
        type=point,
        metavar="X,Y",
        help="walk from --at to here along the embeddings, with the same noise",
    )
    walk.add_argument(
        "--frames",
        type=count,
        metavar="N",
        help="frames of a walk or steps of steering, both ends included (9)",
    )
    walk.add_argument(
        "--path",
        choices=["spherical", "linear"],
        help="between the embeddings (spherical)",
    )


def check(options: argparse.Namespace) -> None:
    """Refuse options that make no sense together, as argparse does."""
    if options.to is None:
        if options.frames is not None and not options.steering:
            options.refuse("--frames belongs to a walk: give its end with --to")
        if options.path is not None:
            options.refuse("--path belongs to a walk: give its end with --to")
    elif options.unconditional:
        options.refuse("a walk goes from one condition to another: not --unconditional")
    elif len(options.at) != 1:
        options.refuse("a walk starts at one place: give --at once")


def walk_and_write(
    options: argparse.Namespace,
    slide: Slide,
    generator: Generator,
    encoder: Encoder,
    on_step: OnStep,
) -> dict[str, Any]:
    """Walk, and write the frames, a strip and an animation."""
    from napari_pathfm.synthesis import FRAMES, PATHS, walk

    made = walk(
        slide,
        options.at[0],
        options.to,
        generator,
        encoder,
        frames=options.frames or FRAMES,
        path=options.path or PATHS[0],
        on_step=on_step,
        **settings_of(options),
    )
    (x, y), (to_x, to_y) = options.at[0], options.to
    stem = f"{slide.name}_{x:.0f}_{y:.0f}_to_{to_x:.0f}_{to_y:.0f}"
    return write_frames(
        made,
        options.out,
        stem,
        "walk",
        captions=[f"{fraction:.0%} of the way" for fraction in fractions(made)],
        target=made.target,
    )


def lines(report: dict[str, Any]) -> list[str]:
    """Say it for people."""
    return [
        f"{e['file']}: {e['fraction']:.0%} of the way, "
        f"cosine to start {e['cosine_to_start']:.3f}, to end {e['cosine_to_end']:.3f}"
        for e in report["images"]
    ] + [
        f"{report['strip']}: both real tiles and the frames between them",
        f"{report['animation']}: the frames as an animation (open it in a browser)",
        report["geojson"],
    ]
