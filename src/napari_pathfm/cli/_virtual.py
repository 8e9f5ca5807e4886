"""``virtual``: the synthetic twin of a whole slide, from its embeddings."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._generation import add_generation, settings_of
from napari_pathfm.cli._options import add_json, box, show, weights_of

if TYPE_CHECKING:
    import argparse


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "virtual", help="the synthetic twin of a whole slide; resumes"
    )
    parser.add_argument("slide", type=Path, metavar="SLIDE")
    parser.add_argument(
        "store",
        type=Path,
        metavar="STORE",
        help="the slide's embeddings, by the encoder that the generator is "
        "conditioned on (napari-pathfm embed)",
    )
    parser.add_argument(
        "--box",
        type=box,
        metavar="X,Y,W,H",
        help="a part of it in level-0 pixels; the whole slide where not given",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the noise (0)")
    add_generation(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.ome.tif")
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Make what is not made yet, and write it."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import (
        check_tiff_output,
        parts_folder,
        write_virtual,
    )
    from napari_pathfm.generators import generator_spec, load_generator
    from napari_pathfm.slides import open_slide
    from napari_pathfm.synthesis import ChunkFiles, VirtualSlide, check_box

    spec = generator_spec(options.generator)
    check_tiff_output(options.out)
    with open_slide(options.slide, mpp=options.mpp, icc=options.icc) as slide:
        slide.require_mpp()
        area = options.box or (0.0, 0.0, *map(float, slide.dimensions))
        check_box(slide, area)
        store = open_store(options.store)
        generator = load_generator(
            options.generator,
            weights=weights_of(spec, options.weights),
            device=options.device,
            trust_remote_code=options.trust_remote_code,
            precision=options.precision,
        )
        virtual = VirtualSlide(
            slide,
            store,
            generator,
            files=ChunkFiles(parts_folder(options.out), None, needed=True),
            **settings_of(options),
        )
        part = virtual.part(area)
        with progress_bar(spec.title, "chunk") as draw:
            write_virtual(options.out, virtual, part, progress=draw)
    if spec.notice:
        print(f"{spec.title}: {spec.notice}", file=sys.stderr)
    told = virtual.provenance_of(part)
    chunks = virtual.chunks_of(part)
    empty = sum(virtual.is_glass(chunk) for chunk in chunks)
    report = {
        "file": str(options.out),
        "box": list(told.box or ()),
        "width": part[2],
        "height": part[3],
        "chunks": len(chunks),
        "glass": empty,
        "seed": told.seed,
        "sampler": told.sampler,
        "steps": told.steps,
    }
    line = (
        f"{options.out}: {part[2]} x {part[3]} px, {len(chunks)} chunks, {empty} of "
        f"them glass; seed {told.seed}, {told.steps} steps of {told.sampler}"
    )
    show(report, [line], as_json=options.json)
