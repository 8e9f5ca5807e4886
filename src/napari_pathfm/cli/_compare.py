"""``compare``: real tissue, synthetic tissue and their difference, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import add_json, add_mpp, show

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "compare", help="real and synthetic tissue of a place, side by side"
    )
    parser.add_argument("file", type=Path, metavar="IMAGE")
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")
    add_mpp(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Read the real part, and write the three pictures."""
    from napari_pathfm.exports import export_comparison, read_synthetic
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import difference, real_part

    image = read_synthetic(options.file)
    icc = image.provenance.details.get("icc_applied") is True
    with open_slide(options.slide, mpp=options.mpp, icc=icc) as slide:
        real = real_part(slide, image)
    apart = difference(real, image.pixels)
    export_comparison(real, image, apart, options.out)
    report = {
        "file": str(options.out),
        "mean_difference": round(float(apart.mean()), 3),
        "same_pixels": round(float((apart == 0).mean()), 6),
    }
    line = (
        f"{options.out}: colours differ by {report['mean_difference']} of 255 on "
        f"average; {report['same_pixels']:.1%} of the pixels are the slide's own"
    )
    show(report, [line], as_json=options.json)
