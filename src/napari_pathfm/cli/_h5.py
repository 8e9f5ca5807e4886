"""Features for and from other programs, HDF5 or folders: ``export``, ``import``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import add_json, add_mpp, show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

H5 = (".h5", ".hdf5", ".h5ad")

#: A folder of wsidata's, where a picture's suffix has not been asked for.
WSIDATA = (".zarr",)


def run_export(options: argparse.Namespace) -> None:
    """Write a store to HDF5, to AnnData's kind of it, or to a folder of wsidata's."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import (
        export_store_anndata,
        export_store_h5,
        export_store_wsidata,
        read_heatmaps,
    )

    if len(options.inputs) != 1:
        raise OutputError("export of features takes one store at a time")
    store = open_store(options.inputs[0])
    name = options.out.name.lower()
    heatmaps = [found for path in options.heatmap for found in read_heatmaps(path)]
    if name.endswith(".h5ad"):
        written = export_store_anndata(store, options.out, heatmaps)
    elif name.endswith(WSIDATA):
        written = export_store_wsidata(store, options.out, heatmaps)
    else:
        written = export_store_h5(store, options.out)
    report = {"out": str(options.out), "tiles": written}
    show(report, [f"{options.out}: {written} tiles"], as_json=options.json)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb ``import``."""
    parser = verbs.add_parser(
        "import",
        help="a store from HDF5 features of TRIDENT, CLAM or `export`, from a folder "
        "of wsidata's and LazySlide's, or from the AnnData file that `export` wrote",
    )
    parser.add_argument("features", type=Path, metavar="FILE.h5|FILE.h5ad|FOLDER.zarr")
    parser.add_argument(
        "--table",
        metavar="NAME",
        help="which features of FOLDER.zarr, where there are several",
    )
    parser.add_argument(
        "--slide",
        type=Path,
        metavar="SLIDE",
        help="whose features these are; needed for files of other programs",
    )
    add_mpp(parser)
    parser.add_argument(
        "--encoder",
        metavar="NAME",
        help="which encoder made them; needed for files of other programs",
    )
    parser.add_argument(
        "--pooling",
        choices=["cls", "cls+mean"],
        help="what stands for a tile; unknown where not given",
    )
    parser.add_argument(
        "--revision",
        metavar="REV",
        help="which weights, as a store of ours names them; unknown where not given",
    )
    parser.add_argument("--out", type=Path, default=Path(), metavar="DIR")
    add_json(parser)
    parser.set_defaults(run=run_import)


def run_import(options: argparse.Namespace) -> None:
    """Make the store."""
    from napari_pathfm.exports import import_anndata, import_h5, import_wsidata
    from napari_pathfm.slides import open_slide

    name = (options.slide or options.features).stem
    with ExitStack() as opened:
        slide = None
        if options.slide is not None:
            slide = opened.enter_context(open_slide(options.slide, mpp=options.mpp))
        out = options.out / f"{name}.{options.encoder or 'imported'}.zarr"
        source = options.features.name.lower()
        if options.table is not None and not source.endswith(WSIDATA):
            raise OutputError(f"{options.features} has one table: leave --table out")
        said = {
            "encoder": options.encoder,
            "pooling": options.pooling,
            "revision": options.revision,
        }
        if source.endswith(".h5ad"):
            if any(word is not None for word in said.values()):
                raise OutputError(
                    f"{options.features} says itself what made its vectors: leave "
                    "--encoder, --pooling and --revision out"
                )
            store = import_anndata(options.features, out, slide=slide)
        elif source.endswith(WSIDATA):
            store = import_wsidata(
                options.features, out, slide=slide, table=options.table, **said
            )
        else:
            store = import_h5(options.features, out, slide=slide, **said)
    attrs = store.attrs
    report = {
        "store": str(store.path),
        "tiles": int(store.done.sum()),
        "encoder": attrs["encoder"],
        "weights_revision": attrs["weights_revision"],
        "pooling": attrs["pooling"],
    }
    line = f"{store.path}: {report['tiles']} tiles"
    asked = {"revision": attrs["weights_revision"], "pooling": attrs["pooling"]}
    unknown = [name for name, value in asked.items() if value == "unknown"]
    if unknown:
        words = " and ".join(unknown)
        line += f"; {words} unknown, so they are compared with no other store"
    show(report, [line], as_json=options.json)
