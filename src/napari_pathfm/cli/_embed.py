"""``embed``: one store of embeddings per slide; resumes, and skips what is done.

A slide that fails is named and does not stop the rest.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import named_bars
from napari_pathfm.cli._options import (
    add_device,
    add_engine,
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
from napari_pathfm.errors import OutputError, PathfmError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

    from napari_pathfm.embeddings import SlideEntry, SlideReport
    from napari_pathfm.encoders import EncoderSpec


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser("embed", help="embed the tissue of slides")
    parser.add_argument(
        "slides",
        type=Path,
        nargs="+",
        metavar="SLIDE",
        help="a slide, a folder of slides, a pattern such as 'study/**/*.svs', or a "
        "CSV with the columns slide,mpp",
    )
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
    add_engine(parser)
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="encode in N processes of this machine; with several CUDA cards, they "
        "take turns",
    )
    where.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="encode on the workers of a dask.distributed scheduler: tcp://host:8786, "
        "or its scheduler file",
    )
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR")
    parser.add_argument(
        "--report",
        type=Path,
        metavar="FILE",
        help="write the report as JSON too, anew after each slide",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Embed each slide and report; 1 if any has failed."""
    from napari_pathfm.embeddings import RunSettings, SlideReport, slide_entries
    from napari_pathfm.encoders import default_encoder, encoder_spec

    spec = encoder_spec(options.encoder or default_encoder())
    entries = slide_entries(options.slides, mpp=options.mpp)
    settings = RunSettings(
        stride=options.stride,
        patches=options.patches,
        scaled_decode=not options.exact,
        icc=options.icc,
    )
    # Every slide is looked at before the model is loaded, so that a wrong path or a
    # missing pixel size shows in a second and not after an hour.
    reports: dict[SlideEntry, SlideReport] = {}
    for entry in entries:
        try:
            with settings.open(entry) as slide:
                if slide.synthetic is not None:
                    _tell(entry.path, "synthetic tissue; its store will say so")
        except PathfmError as error:
            if len(entries) == 1:
                raise
            _tell(entry.path, error)
            reports[entry] = SlideReport(entry.path, error=str(error))
    good = [entry for entry in entries if entry not in reports]
    # What is known of the encoder beside what each slide's report says.
    said: dict[str, str] = {}
    keep = partial(_keep, options.report, entries, reports, said)
    keep()
    by_path = {entry.path: entry for entry in good}

    def on_report(report: SlideReport) -> None:
        reports[by_path[report.slide]] = report
        keep()
        if report.error is not None:
            if len(entries) == 1:
                raise PathfmError(report.error)
            _tell(report.slide, report.error)

    if good:
        with _encoding(options, spec) as (embed, facts), named_bars("tile") as draw:
            said.update(facts)
            embed(
                out=options.out,
                entries=good,
                settings=settings,
                progress=draw,
                on_report=on_report,
            )
    made = [reports[entry] for entry in entries]
    return _show(made, said, as_json=options.json)


@contextmanager
def _encoding(
    options: argparse.Namespace, spec: EncoderSpec
) -> Iterator[tuple[Callable[..., object], dict[str, str]]]:
    """Give what embeds, and what is known of the encoder.

    An encoder of this process is loaded by now; those of a cluster's workers are not.
    """
    from napari_pathfm import embeddings
    from napari_pathfm.encoders import load_encoder

    weights = weights_of(spec, options.weights)
    if options.workers is None and options.scheduler is None:
        encoder = load_encoder(
            spec,
            weights=weights,
            device=options.device,
            pooling=options.pooling,
            precision=options.precision,
            engine=options.engine,
        )
        chosen = encoder.precision
        said = {
            "precision": chosen.name,
            "precision_why": chosen.why,
            "engine": encoder.engine,
        }
        yield partial(embeddings.embed_slides, encoder=encoder), said
        return
    threads = None
    if options.workers is not None:
        threads = embeddings.threads_for(options.workers)
    recipe = embeddings.EncoderRecipe(
        spec,
        weights,
        options.device,
        options.pooling,
        threads,
        options.precision,
        options.engine,
    )
    with embeddings.cluster_client(
        options.scheduler, workers=options.workers
    ) as client:
        yield partial(embeddings.embed_slides_on, client, loader=recipe), {}


def _tell(slide: Path, error: object) -> None:
    print(f"napari-pathfm: {slide}: {error}", file=sys.stderr)


def _show(reports: list[SlideReport], said: dict[str, str], *, as_json: bool) -> int:
    from napari_pathfm.embeddings import summary

    lines = [report.line() for report in reports]
    if len(reports) > 1:
        lines.append(summary(reports))
    show([report.to_json() | said for report in reports], lines, as_json=as_json)
    return int(any(report.error is not None for report in reports))


def _keep(
    file: Path | None,
    entries: list[SlideEntry],
    reports: dict[SlideEntry, SlideReport],
    said: dict[str, str],
) -> None:
    """Write what is known of the slides so far, whole or not at all."""
    if file is None:
        return
    known = [reports[entry].to_json() | said for entry in entries if entry in reports]
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_text(json.dumps(known, indent=2), encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        raise OutputError(
            f"{file} cannot be written: {error.strerror}; choose another --report"
        ) from error
