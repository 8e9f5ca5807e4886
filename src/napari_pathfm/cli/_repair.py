"""``repair``: what lies under a mask, made anew from its surroundings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._generation import (
    add_generation,
    load_models,
    make_folder,
    settings_of,
)
from napari_pathfm.cli._options import add_json, box, count, point, show
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.synthesis import Repair


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("repair", help="synthetic tissue where a mask says")
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument(
        "--mask",
        type=_mask,
        required=True,
        metavar="FILE.geojson|X,Y,W,H",
        help="what is to go, in level-0 pixels: polygons as QuPath exports them, or a "
        "rectangle",
    )
    parser.add_argument(
        "--like",
        type=point,
        nargs="+",
        action="extend",
        default=[],
        metavar="X,Y",
        help="tissue to put there; by default what is around the mask",
    )
    parser.add_argument("-n", type=count, default=1, help="repairs (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the first repair (0)")
    add_generation(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Repair, and write PNGs, one that shows them beside the real part, and regions."""
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import check_points, mask_shape, repair

    spec = generator_spec(options.generator)
    drawn = options.mask
    if isinstance(drawn, Path):
        drawn = _drawn(drawn)
    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        slide.require_mpp()
        shape = mask_shape(slide, drawn)
        if options.like:
            check_points(slide, options.like)
        make_folder(options.out)
        generator, encoder = load_models(options)
        with progress_bar(spec.title, "pass") as draw:
            made = repair(
                slide,
                shape,
                generator,
                encoder,
                like=options.like,
                n=options.n,
                on_step=lambda step, total, _: draw(step, total),
                **settings_of(options),
            )
        x, y, _, _ = made.box
        report = _write(made, options.out, f"{slide.name}_repair_{x:.0f}_{y:.0f}")
    if spec.notice:
        print(f"{spec.title}: {spec.notice}", file=sys.stderr)
    lines = [
        f"{e['file']}: seed {e['seed']}, {e['masked_px']} pixels are synthetic, all "
        "others the slide's"
        for e in report["images"]
    ]
    lines += [f"{report['contact_sheet']}: real part and repairs", report["geojson"]]
    show(report, lines, as_json=options.json)


def _mask(text: str) -> Path | tuple[float, float, float, float]:
    """Read a rectangle, or the name of a file: one has three commas and no suffix."""
    if text.count(",") == 3 and not text.lower().endswith("json"):
        return box(text)
    return Path(text)


def _drawn(path: Path) -> Any:
    """Read polygons; several become one mask."""
    import shapely

    from napari_pathfm.exports import read_geojson

    shapes = [o.geometry for o in read_geojson(path) if o.geometry.area > 0]
    if not shapes:
        raise PathfmError(f"{path} holds no polygon: draw around what is to go")
    return shapely.union_all([shapely.make_valid(shape) for shape in shapes])


def _write(made: Repair, folder: Path, stem: str) -> dict[str, Any]:
    from napari_pathfm.exports import (
        export_contact_sheet,
        export_png,
        synthetic_features,
        write_geojson,
    )

    entries = []
    for image in made.images:
        told = image.provenance
        file = folder / f"{stem}_seed{told.seed}.png"
        export_png(image, file)
        entries.append(
            {
                "file": str(file),
                "seed": told.seed,
                "masked_px": told.details["masked_px"],
                **told.fidelity,
            }
        )
    sheet, region = folder / f"{stem}_sheet.png", folder / f"{stem}.geojson"
    export_contact_sheet(made.images, sheet, source=made.source)
    write_geojson(region, synthetic_features(made.images, made.box))
    return {
        "images": entries,
        "contact_sheet": str(sheet),
        "geojson": str(region),
        "box": list(made.box),
    }
