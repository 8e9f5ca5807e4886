"""``fidelity``: what on its slide is like a synthetic tile, and is it a copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import (
    add_device,
    add_json,
    add_mpp,
    show,
    weights_of,
)

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.synthesis import Trust


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "fidelity", help="compare a synthetic tile with the slide it was made from"
    )
    parser.add_argument("file", type=Path, metavar="IMAGE.png")
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument(
        "store",
        type=Path,
        metavar="STORE",
        help="the slide's embeddings by the encoder that conditioned the generator",
    )
    parser.add_argument(
        "--encoder-weights",
        type=Path,
        metavar="DIR",
        help="folder of that encoder's repository, instead of the hub",
    )
    parser.add_argument(
        "--second", metavar="NAME", help="another encoder of the catalogue, to ask too"
    )
    parser.add_argument(
        "--second-weights",
        type=Path,
        metavar="DIR",
        help="folder of the other encoder's repository, instead of the hub",
    )
    add_mpp(parser)
    add_device(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Compare, and say."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.encoders import encoder_spec, load_encoder
    from napari_pathfm.exports import read_synthetic
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import trust

    image = read_synthetic(options.file)
    spec = generator_spec(image.provenance.generator)
    store = open_store(options.store)

    def load(name: str, weights: Path | None) -> Encoder:
        return load_encoder(
            name, weights=weights_of(encoder_spec(name), weights), device=options.device
        )

    second = None
    if options.second is not None:
        second = load(options.second, options.second_weights)
    encoder = load(spec.encoder, options.encoder_weights)
    icc = image.provenance.details.get("icc_applied") is True
    with open_slide(options.slide, mpp=options.mpp, icc=icc) as slide:
        found = trust(image, slide, store, encoder, spec, second=second)
    report = {
        "file": str(options.file),
        "cosine_to_condition": found.condition,
        "second_encoder": found.second,
        "second_cosine": found.second_cosine,
        "second_neighbours": found.second_neighbours,
        "nearest": [
            {"x": one.x, "y": one.y, "cosine": one.cosine} for one in found.nearest
        ],
        "texture_correlation": found.pixels,
        "texture_limit": found.pixels_limit,
        "copied": found.copied,
    }
    show(report, _lines(found), as_json=options.json)


def _lines(found: Trust) -> list[str]:
    lines = []
    if found.condition is not None:
        lines.append(
            f"cosine to its condition {found.condition:.3f}, by the encoder that told "
            "it: high is expected and proves little"
        )
    if found.second_cosine is not None:
        around = found.second_neighbours
        told = (
            f"; real neighbours {around[0]:.3f} to {around[-1]:.3f}" if around else ""
        )
        lines.append(
            f"cosine to the real tile by {found.second} {found.second_cosine:.3f}{told}"
        )
    for one in found.nearest:
        lines.append(f"like {one.x:.0f},{one.y:.0f} (cosine {one.cosine:.3f})")
    verdict = "SUSPECTED COPY" if found.copied else "no copy"
    lines.append(
        f"{verdict}: nearest real tile {found.pixels:.3f} by texture (copies from "
        f"{found.pixels_limit:.3f})"
    )
    return lines
