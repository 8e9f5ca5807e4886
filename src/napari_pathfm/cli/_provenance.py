"""``provenance``: what made a synthetic image, and whether it can be made again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._options import (
    add_device,
    add_json,
    add_mpp,
    add_weights,
    show,
    weights_of,
)
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse
    from contextlib import ExitStack

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.generators import Provenance, SyntheticImage
    from napari_pathfm.slides import Slide


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("provenance", help="what made a synthetic image")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "--verify",
        action="store_true",
        help="make the image again and compare; exit code 1 if it comes out otherwise",
    )
    parser.add_argument(
        "--slide",
        type=Path,
        metavar="SLIDE",
        help="the slide that it was made from; looked for beside FILE and here if not "
        "given",
    )
    parser.add_argument(
        "--store",
        type=Path,
        metavar="STORE",
        help="the embeddings that a virtual slide was made from",
    )
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
    add_mpp(parser)
    add_device(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the provenance that the file carries, or make the image again."""
    if options.verify:
        return _verify(options)
    from napari_pathfm.exports import read_provenance

    found = read_provenance(options.file)
    entries = found if isinstance(found, list) else [found]
    plain = [entry.to_dict() for entry in entries]
    lines = []
    for entry in plain:
        lines += [f"{key:<20} {value}" for key, value in entry.items()] + [""]
    report = plain if isinstance(found, list) else plain[0]
    show(report, lines[:-1], as_json=options.json)
    return 0


def _verify(options: argparse.Namespace) -> int:
    from contextlib import ExitStack

    with ExitStack() as opened:
        image = _image(options.file, opened)
        slide = None
        if image.provenance.condition_sha256 is not None:
            slide = opened.enter_context(_open(options, image))
        report = _compare(options, image, slide)
    if report["identical"]:
        line = "made again, byte for byte the same"
    elif not report["same_condition"]:
        line = "comes out otherwise: the tissue that was read has other embeddings"
    else:
        line = (
            "comes out otherwise, from the same condition: values differ by up to "
            f"{report['max_difference']} of 255"
        )
    show(report, [f"{options.file}: {line}"], as_json=options.json)
    return 0 if report["identical"] else 1


def _image(file: Path, opened: ExitStack) -> SyntheticImage:
    """Read what is to be made again; a virtual slide part by part, when asked."""
    from napari_pathfm.exports import read_provenance, read_synthetic
    from napari_pathfm.generators import Provenance, SyntheticImage
    from napari_pathfm.slides import open_slide

    told = read_provenance(file)
    if not (
        isinstance(told, Provenance) and told.action == "virtual" and file.is_file()
    ):
        return read_synthetic(file)
    picture = opened.enter_context(open_slide(file))
    return SyntheticImage(cast("Any", _Parts(picture)), told)


class _Parts:
    """Pixels of a picture that is read as slides are: it may be as large as one."""

    def __init__(self, picture: Slide) -> None:
        width, height = picture.dimensions
        self.shape = (height, width, 3)
        self._picture = picture

    def __getitem__(self, key: tuple[slice, slice]) -> NDArray[np.uint8]:
        rows, columns = key
        return self._picture.read(
            columns.start,
            rows.start,
            columns.stop - columns.start,
            rows.stop - rows.start,
        )


def _compare(
    options: argparse.Namespace, image: SyntheticImage, slide: Slide | None
) -> dict[str, Any]:
    from dataclasses import asdict

    from napari_pathfm.embeddings import open_store
    from napari_pathfm.encoders import encoder_spec, load_encoder
    from napari_pathfm.generators import generator_spec, load_generator
    from napari_pathfm.synthesis import verify

    told = image.provenance
    generator = load_generator(
        told.generator,
        weights=weights_of(generator_spec(told.generator), options.weights),
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        precision=told.precision,
    )
    encoder = store = None
    if told.action == "virtual":
        store = None if options.store is None else open_store(options.store)
    elif slide is not None and told.encoder is not None:
        encoder = load_encoder(
            told.encoder,
            weights=weights_of(encoder_spec(told.encoder), options.encoder_weights),
            device=options.device,
        )
    with progress_bar(generator.spec.title, "step") as draw:
        found = verify(
            image.pixels,
            told,
            generator,
            slide=slide,
            encoder=encoder,
            store=store,
            on_step=lambda step, total, _: draw(step, total),
        )
    return {"file": str(options.file), **asdict(found)}


def _open(options: argparse.Namespace, image: SyntheticImage) -> Slide:
    """Open the slide with the pixel size that was used, which the image tells."""
    from napari_pathfm.slides import open_slide

    told = image.provenance
    path = options.slide or _find(options.file, told)
    icc = told.details.get("icc_applied") is True
    if options.mpp is not None or told.box is None:
        return open_slide(path, mpp=options.mpp, icc=icc)
    used = told.mpp * image.pixels.shape[1] / told.box[2]
    slide = open_slide(path, icc=icc)
    if slide.mpp is not None and math.isclose(slide.mpp, used, rel_tol=1e-9):
        return slide
    slide.close()
    # What a person had typed, without the last digits of the arithmetic.
    return open_slide(path, mpp=float(f"{used:.12g}"), icc=icc)


def _find(file: Path, told: Provenance) -> Path:
    """Look for the slide by its name; whether it is the one, its fingerprint tells."""
    name = told.slide or ""
    for folder in (file.parent, file.parent.parent, Path()):
        if name and (folder / name).is_file():
            return folder / name
    raise PathfmError(
        f"{name or 'the slide'} is neither beside {file} nor in this folder: say "
        "where it is with --slide"
    )
