"""``generate --to``: the way from one place to another, frame by frame."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._options import count, point, preset_of

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

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
        "--frames", type=count, metavar="N", help="frames, both ends included (9)"
    )
    walk.add_argument(
        "--path",
        choices=["spherical", "linear"],
        help="between the embeddings (spherical)",
    )


def check(options: argparse.Namespace) -> None:
    """Refuse options that make no sense together, as argparse does."""
    if options.to is None:
        given = [n for n in ("frames", "path") if getattr(options, n) is not None]
        if given:
            options.refuse(f"--{given[0]} belongs to a walk: give its end with --to")
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
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        sampler=options.sampler,
        preset=preset_of(options),
        on_step=on_step,
    )
    (x, y), (to_x, to_y) = options.at[0], options.to
    stem = f"{slide.name}_{x:.0f}_{y:.0f}_to_{to_x:.0f}_{to_y:.0f}"
    return _write(made, options.out, stem)


def _write(made: Any, folder: Path, stem: str) -> dict[str, Any]:
    from napari_pathfm.exports import (
        export_animation,
        export_contact_sheet,
        export_png,
        synthetic_features,
        write_geojson,
    )

    entries = []
    for number, image in enumerate(made.images):
        file = folder / f"{stem}_frame{number:02d}.png"
        export_png(image, file)
        entries.append(
            {
                "file": str(file),
                "fraction": round(image.provenance.details["fraction"], 4),
                **image.provenance.fidelity,
            }
        )
    strip, animation = folder / f"{stem}_strip.png", folder / f"{stem}_walk.png"
    export_contact_sheet(
        made.images,
        strip,
        captions=[f"{entry['fraction']:.0%} of the way" for entry in entries],
        source=made.source,
        target=made.target,
        columns=len(entries) + 2,
    )
    export_animation(made.images, animation)
    region = folder / f"{stem}.geojson"
    write_geojson(region, synthetic_features(made.images, made.box))
    return {
        "images": entries,
        "strip": str(strip),
        "animation": str(animation),
        "geojson": str(region),
        "box": list(made.box),
    }


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
