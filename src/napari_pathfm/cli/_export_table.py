"""``export --out FILE.csv``: what tiles and objects measure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.cli._options import add_mpp, show
from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    import argparse

TABLES = (".csv", ".parquet")
_OBJECTS = (".geojson", ".geojson.gz", ".json", ".json.gz")


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the options that tables alone have."""
    parser.add_argument(
        "--heatmap",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="MAP",
        help="for a table, .h5ad or .zarr: FILE.ome.tif or FILE.ome.zarr from "
        "`heatmap`; its values in every object",
    )
    add_mpp(parser)


def run_table(options: argparse.Namespace) -> None:
    """Write the table."""
    import numpy as np

    from napari_pathfm.embeddings import open_store
    from napari_pathfm.exports import (
        object_table,
        read_geojson,
        read_heatmaps,
        tile_table,
        write_table,
    )

    if len(options.inputs) != 1:
        raise OutputError("a table is made of one store or one FILE.geojson at a time")
    (source,) = options.inputs
    heatmaps = [found for path in options.heatmap for found in read_heatmaps(path)]
    if source.name.lower().endswith(_OBJECTS):
        objects = read_geojson(source)
        table = object_table(objects, heatmaps, mpp=options.mpp)
    else:
        store = open_store(source)
        done = np.asarray(store.done, dtype=bool)
        table = tile_table(
            np.asarray(store.coords)[done],
            store.grid.tile_size,
            heatmaps=heatmaps,
            mpp=options.mpp or float(store.attrs["slide_mpp"]),
            id_namespace=str(store.attrs.get("slide_fingerprint", "")),
        )
    rows = write_table(options.out, table)
    report = {"out": str(options.out), "rows": rows, "columns": list(table)}
    lines = [f"{options.out}: {rows} rows, {len(table)} columns"]
    show(report, lines, as_json=options.json)
