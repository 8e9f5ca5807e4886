"""What all verbs that generate share: their options, their models, their folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._options import (
    add_device,
    add_icc,
    add_mpp,
    add_precision,
    add_weights,
    count,
    preset_of,
    weights_of,
)
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator


def add_generation(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose a generator and how it is sampled."""
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
    add_precision(parser)
    add_mpp(parser)
    add_icc(parser)
    add_device(parser)


def settings_of(options: argparse.Namespace) -> dict[str, Any]:
    """Give what of the options the functions of synthesis take by name."""
    return {
        "seed": options.seed,
        "steps": options.steps,
        "guidance": options.guidance,
        "sampler": options.sampler,
        "preset": preset_of(options),
    }


def load_models(options: argparse.Namespace) -> tuple[Generator, Encoder]:
    """Load the generator, and the encoder that it is conditioned on."""
    from napari_pathfm.encoders import encoder_spec, load_encoder
    from napari_pathfm.generators import generator_spec, load_generator

    spec = generator_spec(options.generator)
    generator = load_generator(
        options.generator,
        weights=weights_of(spec, options.weights),
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        precision=options.precision,
    )
    encoder = load_encoder(
        spec.encoder,
        weights=weights_of(encoder_spec(spec.encoder), options.encoder_weights),
        device=options.device,
    )
    return generator, encoder


def make_folder(folder: Path) -> None:
    """Make the folder now: an hour's work must not end at a missing permission."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be made ({error.strerror}): choose another --out"
        ) from error
