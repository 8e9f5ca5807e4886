"""``embed``: one store of embeddings per slide; resumes, and skips what is done."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._options import (
    add_device,
    add_exact,
    add_icc,
    add_json,
    add_mpp,
    add_precision,
    add_weights,
    count,
    show,
    weights_of,
)

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("embed", help="embed the tissue of slides")
    parser.add_argument("slides", type=Path, nargs="+", metavar="SLIDE")
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="a name that `models` lists, or a file that describes an encoder, such as "
        "my-vit.toml; h0-mini as soon as its weights are here, else bundled",
    )
    add_weights(parser, "encoder")
    parser.add_argument(
        "--pooling",
        choices=["cls", "cls+mean"],
        help="what stands for a tile: CLS, or CLS and the mean of the patch tokens",
    )
    add_mpp(parser)
    parser.add_argument(
        "--stride",
        type=count,
        metavar="PX",
        help="from one tile to the next, in pixels at the encoder's mpp; "
        "the tile's side by default",
    )
    parser.add_argument(
        "--patches", action="store_true", help="keep the patch tokens too"
    )
    add_exact(parser)
    add_icc(parser)
    add_device(parser)
    add_precision(parser)
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Embed each slide and report."""
    from napari_pathfm.encoders import default_encoder, encoder_spec, load_encoder
    from napari_pathfm.slides import open_slide

    spec = encoder_spec(options.encoder or default_encoder())
    # Every slide is looked at before the model is loaded, so that a wrong path or a
    # missing pixel size shows in a second and not after an hour.
    for path in options.slides:
        with open_slide(path, mpp=options.mpp) as slide:
            slide.require_mpp()
    encoder = load_encoder(
        spec,
        weights=weights_of(spec, options.weights),
        device=options.device,
        pooling=options.pooling,
        precision=options.precision,
    )
    reports = [_embed(path, encoder, options) for path in options.slides]
    lines = [
        f"{r['store']}: {r['tiles']} tiles, {r['embedded']} of them now"
        + (f", {r['tiles_per_second']:g} tiles/s" if r["embedded"] else "")
        for r in reports
    ]
    show(reports, lines, as_json=options.json)


def _embed(path: Path, encoder: Encoder, options: argparse.Namespace) -> dict[str, Any]:
    from napari_pathfm.embeddings import embed_slide, store_path
    from napari_pathfm.slides import open_slide, tile_grid

    spec = encoder.spec
    before: list[int] = []
    began = time.monotonic()
    with (
        open_slide(
            path,
            mpp=options.mpp,
            scaled_decode=not options.exact,
            icc=options.icc,
        ) as slide,
        progress_bar(slide.name, "tile") as draw,
    ):
        grid = tile_grid(slide, px=spec.tile_px, mpp=spec.mpp, stride=options.stride)

        def progress(done: int, total: int) -> None:
            before.append(done)
            draw(done, total)

        store = embed_slide(
            slide,
            encoder,
            store_path(options.out, slide, spec.name),
            grid=grid,
            patches=options.patches,
            progress=progress,
        )
    seconds = time.monotonic() - began
    embedded = before[-1] - before[0]
    return {
        "slide": str(path),
        "store": str(store.path),
        "tiles": len(grid),
        "embedded": embedded,
        "seconds": round(seconds, 2),
        "tiles_per_second": round(embedded / seconds, 1),
        "encoder": spec.name,
        "weights_revision": encoder.revision,
        "precision": encoder.precision.name,
        "precision_why": encoder.precision.why,
    }
