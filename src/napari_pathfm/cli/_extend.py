"""``extend``: a field carried on beyond its border."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._generation import add_generation, load_models, settings_of
from napari_pathfm.cli._options import add_json, box, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("extend", help="carry a field on beyond its border")
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument(
        "--box",
        type=box,
        required=True,
        metavar="X,Y,W,H",
        help="the field in level-0 pixels, at least a tile on each side; it is kept",
    )
    parser.add_argument(
        "--by", type=float, metavar="UM", help="how far, in um; a tile by default"
    )
    parser.add_argument(
        "--sides",
        default="left,top,right,bottom",
        metavar="SIDE,...",
        help="where it grows: left, top, right, bottom (all)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    add_generation(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.ome.tif")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make what lies beyond the border and write it with the field."""
    from napari_pathfm.exports import (
        check_tiff_output,
        synthetic_pixels,
        write_pixels,
    )
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import check_box, extend

    spec = generator_spec(options.generator)
    check_tiff_output(options.out)
    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        slide.require_mpp()
        check_box(slide, options.box)
        generator, encoder = load_models(options)
        with progress_bar(spec.title, "pass") as draw:
            made = extend(
                slide,
                options.box,
                generator,
                encoder,
                by=options.by,
                sides=options.sides.split(","),
                on_step=lambda step, total, _: draw(step, total),
                **settings_of(options),
            )
    image = made.images[0]
    name = f"Synthetic extension, seed {image.provenance.seed}"
    write_pixels(options.out, synthetic_pixels(image, name=name))
    if spec.notice:
        print(f"{spec.title}: {spec.notice}", file=sys.stderr)
    told = image.provenance
    high, wide = image.pixels.shape[:2]
    report = {
        "file": str(options.out),
        "box": list(made.box),
        "width": wide,
        "height": high,
        "synthetic_px": int(made.mask.sum()),
        "seed": told.seed,
        **told.fidelity,
    }
    line = (
        f"{options.out}: {wide} x {high} px, {made.mask.mean():.0%} of them synthetic, "
        f"seed {told.seed}; neighbours differ {told.fidelity['seam']:.2f} times as "
        "much across the field's border as near it"
    )
    show(report, [line], as_json=options.json)
