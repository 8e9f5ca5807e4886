"""``export``: what was made, to files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.cli._export_pixels import PIXELS, run_pixels
from napari_pathfm.cli._export_table import TABLES, add_table, run_table
from napari_pathfm.cli._h5 import H5, WSIDATA, run_export
from napari_pathfm.cli._heatmap import GEOJSON
from napari_pathfm.cli._options import add_json, show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from napari_pathfm.generators import Provenance


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb."""
    parser = verbs.add_parser(
        "export",
        help="tiles, objects, heatmaps or synthetic images to QuPath GeoJSON, a table, "
        "OME-TIFF or OME-Zarr",
    )
    parser.add_argument(
        "inputs",
        type=Path,
        nargs="+",
        metavar="INPUT",
        help="one STORE.zarr or FILE.geojson, synthetic PNGs of one slide, or heatmaps "
        "(.ome.tif, .ome.zarr)",
    )
    parser.add_argument(
        "--out",
        "--to",
        dest="out",
        type=Path,
        required=True,
        metavar="FILE",
        help="FILE.geojson[.gz]; a table: FILE.csv, FILE.parquet; pictures: "
        "FILE.ome.tif, FILE.ome.zarr; FILE.h5 for TRIDENT and CLAM; FILE.h5ad "
        "for scanpy and squidpy; SLIDE.zarr for wsidata and LazySlide",
    )
    add_table(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the file."""
    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import (
        export_heatmap_geojson,
        export_store_geojson,
        read_heatmaps,
        write_geojson,
    )

    if options.out.name.lower().endswith(PIXELS):
        run_pixels(options)
        return
    if options.out.name.lower().endswith(TABLES):
        run_table(options)
        return
    if options.out.name.lower().endswith((*H5, *WSIDATA)):
        run_export(options)
        return
    if not options.out.name.lower().endswith(GEOJSON):
        raise OutputError(
            f"{options.out} has no known suffix: use .geojson, .csv, "
            ".parquet, .h5, .h5ad, .zarr, .ome.tif or .ome.zarr"
        )
    pictures = [path for path in options.inputs if path.suffix.lower() == ".png"]
    if pictures == options.inputs:
        written = write_geojson(options.out, _regions(pictures))
    elif len(options.inputs) > 1:
        raise OutputError("export takes one store, or synthetic PNGs, at a time")
    elif options.inputs[0].name.lower().endswith(PIXELS):
        heatmaps = read_heatmaps(options.inputs[0])
        if len(heatmaps) > 1:
            raise OutputError(
                f"{options.inputs[0]} holds {len(heatmaps)} heatmaps: export "
                "to a table or a picture"
            )
        written = export_heatmap_geojson(heatmaps[0], options.out)
    else:
        written = export_store_geojson(open_store(options.inputs[0]), options.out)
    report = {"out": str(options.out), "objects": written}
    show(report, [f"{options.out}: {written} objects"], as_json=options.json)


def _regions(pictures: list[Path]) -> Iterator[dict[str, Any]]:
    """Give a QuPath annotation for each synthetic image, all of one slide."""
    import numpy as np
    from PIL import Image

    from napari_pathfm.exports import synthetic_features
    from napari_pathfm.generators import SyntheticImage

    slides = set()
    for path, provenance in ((file, p) for file in pictures for p in _read(file)):
        if provenance.box is None:
            raise OutputError(f"{path} does not say where on a slide it belongs")
        slides.add(provenance.slide_fingerprint)
        if len(slides) > 1:
            raise OutputError(
                f"{path} belongs to another slide than the images before it: "
                "export the slides one by one"
            )
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        made = SyntheticImage(pixels, provenance)
        yield from synthetic_features([made], provenance.box)


def _read(path: Path) -> list[Provenance]:
    from napari_pathfm.exports import read_provenance

    found = read_provenance(path)
    return found if isinstance(found, list) else [found]
