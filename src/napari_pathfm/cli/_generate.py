"""``generate``: synthetic variants of the tissue at a point."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli import _generate_walk
from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._options import (
    add_device,
    add_icc,
    add_json,
    add_mpp,
    add_weights,
    count,
    point,
    preset_of,
    show,
    weights_of,
)
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis import Variation


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("generate", help="synthetic variants of a place")
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument(
        "--at",
        type=point,
        nargs="+",
        action="extend",
        required=True,
        metavar="X,Y",
        help="level-0 pixels; the embeddings of several points are averaged",
    )
    parser.add_argument("--generator", default="bundled", metavar="NAME")
    add_weights(parser, "generator")
    parser.add_argument(
        "--encoder-weights",
        type=Path,
        metavar="DIR",
        help="folder of the conditioning encoder's repository, instead of the hub",
    )
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        help="agree to run the Python code that the generator's repository brings",
    )
    parser.add_argument("-n", type=count, default=4, help="variants (4)")
    parser.add_argument("--seed", type=int, default=0, help="of the first variant (0)")
    parser.add_argument("--steps", type=count, help="sampling steps")
    parser.add_argument("--guidance", type=float, help="guidance scale; 1 is none")
    parser.add_argument(
        "--sampler",
        choices=["pipeline", "sde", "euler", "heun", "dpm"],
        help="how to go from noise to tissue; each generator has its own default",
    )
    presets = parser.add_mutually_exclusive_group()
    presets.add_argument(
        "--preset",
        choices=["paper", "fast"],
        help="sampler and steps: as published (the default), or fast",
    )
    presets.add_argument(
        "--fast", action="store_true", help="the same as --preset fast"
    )
    add_mpp(parser)
    add_icc(parser)
    add_device(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_json(parser)
    _generate_walk.add_options(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> None:
    """Generate, and write PNGs, pictures that show them together, and the region."""
    from napari_pathfm.encoders import encoder_spec, load_encoder
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import check_points

    _generate_walk.check(options)
    spec = generator_spec(options.generator)
    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        slide.require_mpp()
        check_points(slide, [*options.at, *([options.to] if options.to else [])])
        _make_folder(options.out)
        generator = _load(options)
        encoder = load_encoder(
            spec.encoder,
            weights=weights_of(encoder_spec(spec.encoder), options.encoder_weights),
            device=options.device,
        )
        work = _generate_walk.walk_and_write if options.to else _vary_and_write
        with progress_bar(spec.title, "step") as draw:
            report = work(
                options, slide, generator, encoder, lambda step, n, _: draw(step, n)
            )
    if spec.notice:
        print(f"{spec.title}: {spec.notice}", file=sys.stderr)
    lines = _generate_walk.lines(report) if options.to else _lines(report)
    show(report, lines, as_json=options.json)


def _vary_and_write(
    options: argparse.Namespace,
    slide: Slide,
    generator: Generator,
    encoder: Encoder,
    on_step: OnStep,
) -> dict[str, Any]:
    from napari_pathfm.synthesis import vary

    made = vary(
        slide,
        options.at,
        generator,
        encoder,
        n=options.n,
        seed=options.seed,
        steps=options.steps,
        guidance=options.guidance,
        sampler=options.sampler,
        preset=preset_of(options),
        on_step=on_step,
    )
    (x, y), *_ = options.at
    return _write(made, options.out, f"{slide.name}_{x:.0f}_{y:.0f}")


def _lines(report: dict[str, Any]) -> list[str]:
    return [
        f"{entry['file']}: seed {entry['seed']}, "
        f"cosine to condition {entry['cosine_to_condition']:.3f}"
        for entry in report["images"]
    ] + [f"{report['contact_sheet']}: real tile and variants", report["geojson"]]


def _load(options: argparse.Namespace) -> Generator:
    from napari_pathfm.generators import generator_spec, load_generator

    return load_generator(
        options.generator,
        weights=weights_of(generator_spec(options.generator), options.weights),
        device=options.device,
        trust_remote_code=options.trust_remote_code,
    )


def _make_folder(folder: Path) -> None:
    """Make the folder now: an hour's work must not end at a missing permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made ({error.strerror}): choose another --out"
        ) from error


def _write(variation: Variation, folder: Path, stem: str) -> dict[str, Any]:
    from napari_pathfm.exports import (
        export_contact_sheet,
        export_png,
        synthetic_features,
        write_geojson,
    )

    entries = []
    for image, cosine in zip(variation.images, variation.fidelity, strict=True):
        file = folder / f"{stem}_seed{image.provenance.seed}.png"
        export_png(image, file)
        entries.append(
            {
                "file": str(file),
                "seed": image.provenance.seed,
                "cosine_to_condition": cosine,
            }
        )
    sheet = folder / f"{stem}_sheet.png"
    export_contact_sheet(
        variation.images,
        sheet,
        captions=[
            f"seed {e['seed']}, cosine {e['cosine_to_condition']}" for e in entries
        ],
        source=variation.source,
    )
    region = folder / f"{stem}.geojson"
    write_geojson(region, synthetic_features(variation.images, variation.box))
    return {
        "images": entries,
        "contact_sheet": str(sheet),
        "geojson": str(region),
        "box": list(variation.box),
    }
