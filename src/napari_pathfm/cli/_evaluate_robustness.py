"""``evaluate robustness``: whether scanners and stainings change features."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._bar import progress_bar
from napari_pathfm.cli._evaluate_options import (
    add_encoder,
    add_report,
    encoder_of,
    hand_over,
)
from napari_pathfm.cli._options import add_mpp, count
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.evaluation import Registered, Robustness

_HELP = """\
PLISM's measures: cosine, and retrieval of the same place, over all pairs of slides.

PATH is one of
  a folder of SLIDE/features.npy, as plism-benchmark writes them
  a folder of PLISM's STAINING_SCANNER_to_GMH_S60.tif.h5
  a folder of embedding stores (*.zarr) of registered slides
  a folder of folders of tiles, the same file name for the same place
  a folder of registered slides or pictures of one field, or these files themselves
  one slide, with --simulate
"""


def add(protocols: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the protocol."""
    from argparse import RawDescriptionHelpFormatter

    parser = protocols.add_parser(
        "robustness",
        help="across scanners and stainings, as PLISM does",
        description=_HELP,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", type=Path, nargs="+", metavar="PATH")
    add_encoder(parser)
    add_mpp(parser)
    parser.add_argument(
        "--tile",
        type=float,
        metavar="PX",
        help="side of a tile in level-0 pixels of the first slide; by default the "
        "encoder's tile at its mpp",
    )
    parser.add_argument(
        "--stride",
        type=float,
        metavar="PX",
        help="from one place to the next; a tile's side by default",
    )
    parser.add_argument(
        "--slides",
        type=Path,
        metavar="CSV",
        help="columns file (without suffix), scanner, staining; else PLISM's names "
        "are understood, and other files are one scanner each",
    )
    parser.add_argument(
        "--tiles", type=count, metavar="N", help="this many places, at random"
    )
    parser.add_argument(
        "--subset",
        type=Path,
        metavar="NPY",
        help="rows to keep, such as plism-benchmark's tiles_subset_8139.npy",
    )
    parser.add_argument(
        "--simulate",
        action="store_true",
        help="make scanners and stainings from one slide",
    )
    add_report(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Measure and report."""
    from napari_pathfm.evaluation import random_subset, robustness, robustness_report

    with progress_bar("tiles", "tile") as draw:
        registered = _registered(options, draw)
    if options.tiles is not None and not options.simulate:
        registered = random_subset(registered, options.tiles, options.seed)
    device = "cpu"
    if options.device != "auto":
        device = options.device
    with progress_bar("pairs", "pair") as draw:
        found = robustness(
            registered,
            draws=options.bootstrap,
            seed=options.seed,
            device=device,
            progress=draw,
        )
    report = robustness_report(
        registered, found, draws=options.bootstrap, seed=options.seed
    )
    hand_over(report, _lines(report.facts["encoder"], found), options)


def _registered(
    options: argparse.Namespace, progress: Callable[[int, int], None]
) -> Registered:
    from napari_pathfm import evaluation

    paths: list[Path] = options.paths
    for path in paths:
        if not path.exists():
            raise PathfmError(f"{path} does not exist")
    table, folder = options.slides, paths[0]
    if options.simulate:
        if len(paths) != 1 or not paths[0].is_file():
            raise PathfmError("--simulate takes one slide")
        return evaluation.simulated_slides(
            paths[0],
            encoder_of(options),
            mpp=options.mpp,
            stride=options.stride,
            limit=options.tiles or 500,
            seed=options.seed,
            progress=progress,
        )
    rows = _rows(options.subset)
    if len(paths) > 1 or folder.is_file():
        found = _slides(paths, options, progress)
    elif any(folder.glob("*/features.npy")):
        found = evaluation.plism_features(folder, table=table)
    elif any(folder.glob("*.h5")):
        return evaluation.plism_tiles(
            folder,
            encoder_of(options),
            mpp=options.mpp,
            subset=rows,
            progress=progress,
        )
    elif stores := sorted(folder.glob("*.zarr")):
        from napari_pathfm.embeddings import open_store

        found = evaluation.registered_stores(
            [open_store(store) for store in stores], table=table
        )
    elif folders := sorted(p for p in folder.iterdir() if p.is_dir()):
        found = evaluation.registered_tiles(
            folders,
            encoder_of(options),
            mpp=options.mpp,
            table=table,
            progress=progress,
        )
    else:
        files = sorted(
            p
            for p in folder.iterdir()
            if p.is_file() and p.suffix != ".csv" and not p.name.startswith(".")
        )
        found = _slides(files, options, progress)
    if rows is not None:
        found = found.subset(rows, f"{len(rows)} of {found.n} by {options.subset.name}")
    return found


def _slides(
    paths: list[Path],
    options: argparse.Namespace,
    progress: Callable[[int, int], None],
) -> Registered:
    from napari_pathfm import evaluation

    return evaluation.registered_slides(
        paths,
        encoder_of(options),
        mpp=options.mpp,
        tile=options.tile,
        stride=options.stride,
        table=options.slides,
        progress=progress,
    )


def _rows(file: Path | None) -> NDArray[np.integer] | None:
    if file is None:
        return None
    import numpy as np

    try:
        rows: NDArray[np.integer] = np.load(file)
    except (OSError, ValueError) as error:
        raise PathfmError(f"{file} is no array of rows: {error}") from error
    if rows.ndim != 1 or not np.issubdtype(rows.dtype, np.integer) or not len(rows):
        raise PathfmError(f"{file} holds {rows.dtype} {rows.shape}, not rows")
    return rows


def _lines(encoder: str, found: Robustness) -> list[str]:
    lines = [f"{encoder}: {len(found.conditions)} slides, {found.n} places"]
    for group in ("scanner", "staining", "both", "all"):
        cosine, top = found.summary(group, "cosine"), found.summary(group, "top-10")
        other = found.summary(group, "other slide's top-1")
        if cosine is None or top is None or other is None:
            continue
        lines.append(
            f"{group:>9}: {cosine['pairs']} pairs, medians: cosine {cosine['median']}, "
            f"top-10 {top['median']}, on the other slide top-1 {other['median']}"
        )
    score = found.score()
    if score is not None:
        lines.append(f"    score: {score}")
    return lines
