"""GeoJSON files for QuPath: streamed out, read back.

QuPath takes a FeatureCollection, a bare array of features, one feature, or a geometry;
all four are read here. What is written is always a FeatureCollection.
"""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._objects import QuPathObject, parse_objects
from napari_pathfm.exports._tiles import heatmap_tiles, tile_features

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.exports._features import Feature
    from napari_pathfm.heatmaps import Heatmap

SUFFIXES = (".geojson", ".json", ".geojson.gz", ".json.gz")


def write_geojson(
    path: PathLike,
    features: Iterable[Mapping[str, Any]] | Mapping[str, Any],
    *,
    provenance: Mapping[str, Any] | None = None,
) -> int:
    """Write features for QuPath, one at a time, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in one of `SUFFIXES`; compressed where it ends in ``.gz``. An existing
        file is replaced.
    features : iterable of mappings, or a FeatureCollection
        From `annotation_feature`, `tile_features` and the like. An iterator is drained
        as it is written: a million tiles need the memory of one.
    provenance : mapping, optional
        What made the features; stands as the member ``napari_pathfm`` beside them,
        where QuPath lets it be.

    Returns
    -------
    int
        How many features were written.

    Raises
    ------
    OutputError
        There are no features, or the file cannot be written; nothing is left behind.
    """
    items: Iterable[Mapping[str, Any]]
    items = features["features"] if isinstance(features, Mapping) else features
    count = 0
    with (
        whole_file(path, *SUFFIXES) as neighbour,
        _text(neighbour, compressed=str(path).lower().endswith(".gz")) as file,
    ):
        file.write('{"type":"FeatureCollection",')
        if provenance is not None:
            # What made the features may itself hold a NaN; it becomes a word.
            plain = json.dumps(provenance, default=_plain)
            file.write(
                f'"napari_pathfm":{_json(json.loads(plain, parse_constant=str))},'
            )
        file.write('"features":[')
        for feature in items:
            file.write(",\n" if count else "\n")
            file.write(_json(feature))
            count += 1
        if not count:
            raise OutputError(f"Nothing to export: {path} would hold no objects.")
        file.write("\n]}\n")
    return count


def read_geojson(path: PathLike) -> list[QuPathObject]:
    """Read what QuPath, or `write_geojson`, wrote.

    Parameters
    ----------
    path : path-like
        Plain or gzip-compressed, whatever its name.

    Returns
    -------
    list of QuPathObject
        In file order, children right after their parents.

    Raises
    ------
    PathfmError
        The file is missing, damaged, or not of this form: one line that names the
        file and the object.
    """
    name = Path(path)
    try:
        raw = name.read_bytes()
        if raw[:2] == b"\x1f\x8b":
            raw = gzip.decompress(raw)
        document = json.loads(raw)
    except FileNotFoundError as error:
        raise PathfmError(f"There is no file {name}.") from error
    except (OSError, EOFError, zlib.error) as error:
        raise PathfmError(f"{name} cannot be read: {error}.") from error
    except UnicodeDecodeError as error:
        raise PathfmError(f"{name} is no GeoJSON: it is not text.") from error
    except ValueError as error:
        raise PathfmError(
            f"{name} is no GeoJSON, or only a part of it: {error}; export it again."
        ) from error
    except RecursionError as error:
        raise PathfmError(f"{name} cannot be read: it is nested too deep.") from error
    return parse_objects(document, name)


def export_heatmap_geojson(heatmap: Heatmap, path: PathLike) -> int:
    """Write a heatmap as QuPath tiles, one per cell that is not NaN.

    Parameters
    ----------
    heatmap : Heatmap
        Its name names the measurement.
    path : path-like
        As for `write_geojson`.

    Returns
    -------
    int
        How many tiles were written.

    Raises
    ------
    OutputError
        As for `write_geojson`.
    """
    return write_geojson(path, heatmap_tiles(heatmap), provenance=heatmap.provenance)


def export_store_geojson(
    store: EmbeddingStore,
    path: PathLike,
    measurements: Mapping[str, npt.ArrayLike] | None = None,
) -> int:
    """Write the embedded tiles of a store as QuPath tiles.

    Parameters
    ----------
    store : EmbeddingStore
        Tiles that are not done yet are left out.
    path : path-like
        As for `write_geojson`.
    measurements : mapping of str to array_like (N,), optional
        One number per tile of the store.

    Returns
    -------
    int
        How many tiles were written.

    Raises
    ------
    OutputError
        As for `write_geojson`; a store of which nothing is done exports nothing.
    ValueError
        A measurement has another length than the store.
    """
    done = np.asarray(store.done, dtype=bool)
    attributes = dict(store.attrs)
    columns = {}
    for key, values in (measurements or {}).items():
        column = np.asarray(values)
        if column.shape != done.shape:
            raise ValueError(
                f"measurement {key!r} has the shape {column.shape}, not {done.shape}"
            )
        columns[key] = column[done]
    tiles: Iterator[Feature] = tile_features(
        np.asarray(store.coords)[done],
        store.grid.tile_size,
        columns,
        id_namespace=str(attributes.get("slide_fingerprint", "")),
    )
    return write_geojson(path, tiles, provenance=attributes)


def _json(value: Mapping[str, Any]) -> str:
    # ASCII only: QuPath on Windows once read the platform's own encoding (pull request
    # 1192), and escapes mean the same in all of them. NaN is no JSON, so it must have
    # become a string before it comes here.
    return json.dumps(value, separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: object) -> object:
    """Return what stands for a numpy scalar or array, or a path, in JSON."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    return str(value)


@contextmanager
def _text(path: Path, *, compressed: bool) -> Iterator[io.TextIOBase]:
    with open(path, "wb") as file:
        if compressed:
            # No name and no time inside: the same objects are the same bytes.
            with (
                gzip.GzipFile(
                    "", "wb", compresslevel=6, fileobj=file, mtime=0
                ) as packed,
                io.TextIOWrapper(packed, "ascii", newline="\n") as text,
            ):
                yield text
        else:
            with io.TextIOWrapper(file, "ascii", newline="\n") as text:
                yield text
