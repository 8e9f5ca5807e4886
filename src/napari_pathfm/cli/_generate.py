"""``generate``: synthetic variants of the tissue at a point."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli import _generate_steer, _generate_walk
from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._generation import (
    add_generation,
    load_models,
    make_folder,
    settings_of,
)
from napari_pathfm.cli._options import (
    add_json,
    count,
    point,
    show,
)

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
    add_generation(parser)
    parser.add_argument(
        "--unconditional",
        action="store_true",
        help="make what the generator makes untold; it stands at the first point",
    )
    parser.add_argument("-n", type=count, default=4, help="variants (4)")
    parser.add_argument("--seed", type=int, default=0, help="of the first variant (0)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_json(parser)
    _generate_walk.add_options(parser)
    _generate_steer.add_options(parser)
    parser.set_defaults(run=run, refuse=parser.error)


def run(options: argparse.Namespace) -> None:
    """Generate, and write PNGs, pictures that show them together, and the region."""
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import check_places, check_points

    _generate_steer.check(options)
    _generate_walk.check(options)
    spec = generator_spec(options.generator)
    _generate_steer.load(options, spec)
    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        slide.require_mpp()
        places = [*options.at, *([options.to] if options.to else [])]
        check_points(slide, [*places, *options.like, *options.unlike])
        if not options.unconditional:
            check_places(slide, places, spec)
        make_folder(options.out)
        generator, encoder = load_models(options)
        work, tell = _vary_and_write, _lines
        if options.to:
            work, tell = _generate_walk.walk_and_write, _generate_walk.lines
        elif options.steering:
            work, tell = _generate_steer.steer_and_write, _generate_steer.lines
        with progress_bar(spec.title, "step") as draw:
            report = work(
                options, slide, generator, encoder, lambda step, n, _: draw(step, n)
            )
    if spec.notice:
        print(f"{spec.title}: {spec.notice}", file=sys.stderr)
    show(report, tell(report), as_json=options.json)


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
        conditional=not options.unconditional,
        n=options.n,
        on_step=on_step,
        **settings_of(options),
    )
    (x, y), *_ = options.at
    return _write(made, options.out, f"{slide.name}_{x:.0f}_{y:.0f}")


def _lines(report: dict[str, Any]) -> list[str]:
    said = []
    for entry in report["images"]:
        line = f"{entry['file']}: seed {entry['seed']}, "
        if "cosine_to_condition" in entry:
            line += f"cosine to condition {entry['cosine_to_condition']:.3f}"
        else:
            line += f"unconditional, cosine to the place {entry['cosine_to_place']:.3f}"
        real = report["neighbour_cosines"]
        if real:
            below = round(entry["neighbours_below"] * len(real))
            line += (
                f", above {below} of {len(real)} real neighbours' "
                f"({real[0]:.3f} to {real[-1]:.3f})"
            )
        said.append(line)
    return [
        *said,
        f"{report['contact_sheet']}: real tile and variants",
        report["geojson"],
    ]


def _write(variation: Variation, folder: Path, stem: str) -> dict[str, Any]:
    from napari_pathfm.exports import (
        export_contact_sheet,
        export_png,
        synthetic_features,
        write_geojson,
    )

    entries = []
    for image in variation.images:
        file = folder / f"{stem}_seed{image.provenance.seed}.png"
        export_png(image, file)
        entries.append(
            {
                "file": str(file),
                "seed": image.provenance.seed,
                **image.provenance.fidelity,
            }
        )
    sheet = folder / f"{stem}_sheet.png"
    export_contact_sheet(
        variation.images,
        sheet,
        captions=[
            f"seed {entry['seed']}, cosine {cosine}"
            for entry, cosine in zip(entries, variation.fidelity, strict=True)
        ],
        source=variation.source,
    )
    told = variation.images[0].provenance
    region = folder / f"{stem}.geojson"
    write_geojson(region, synthetic_features(variation.images, variation.box))
    return {
        "images": entries,
        "contact_sheet": str(sheet),
        "geojson": str(region),
        "box": list(variation.box),
        "neighbour_cosines": told.details.get("neighbour_cosines", []),
    }
