"""GeoJSON files for QuPath, streamed out: always a FeatureCollection."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import OutputError
from napari_pathfm.exports._files import PathLike, whole_file
from napari_pathfm.exports._tiles import heatmap_tiles, tile_features

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.exports._features import Feature
    from napari_pathfm.exports._objects import QuPathObject
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
    members = {} if provenance is None else {"napari_pathfm": provenance}
    return _write(path, ((_json(feature), 1) for feature in items), members)


def write_objects(
    path: PathLike,
    objects: Sequence[QuPathObject],
    *,
    members: Mapping[str, Any] | None = None,
) -> int:
    """Write objects for QuPath, children within their parents, whole or not at all.

    Parameters
    ----------
    path : path-like
        As for `write_geojson`.
    objects : sequence of QuPathObject
        From `read_geojson`, say. The order of siblings is kept.
    members : mapping, optional
        What stands beside the features; those of the file where `objects` were read
        from one.

    Returns
    -------
    int
        How many objects were written.

    Raises
    ------
    OutputError
        As for `write_geojson`; or an object is among its own ancestors.
    """
    if members is None:
        members = getattr(objects, "members", {})
    return _write(path, _nested(objects, path), members)


def _nested(
    objects: Sequence[QuPathObject], path: PathLike
) -> Iterator[tuple[str, int]]:
    """Yield each top object with all that is in it, and how many objects that are."""
    children: dict[int | None, list[int]] = {}
    for index, found in enumerate(objects):
        children.setdefault(found.parent, []).append(index)
    written = 0
    for top in children.get(None, ()):
        # A stack, not recursion: objects may nest as deep as they like.
        text, count, closing = [], 0, "]}}"
        waiting: list[int | str] = [top]
        while waiting:
            item = waiting.pop()
            if isinstance(item, str):
                text.append(item)
                continue
            count += 1
            feature = objects[item].to_feature()
            inner = children.get(item)
            if not inner:
                text.append(_json(feature))
                continue
            properties = _json(feature.pop("properties"))
            start = f'{_json(feature)[:-1]},"properties":{properties[:-1]}'
            text.append(f'{start},"childObjects":[')
            waiting.append(closing)
            for number, child in enumerate(inner[::-1]):
                waiting += [",", child] if number else [child]
        written += count
        yield "".join(text), count
    if written < len(objects):
        raise OutputError(
            f"{path} cannot be written: an object is its own ancestor, or its parent "
            "is not there."
        )


def _write(
    path: PathLike, texts: Iterable[tuple[str, int]], members: Mapping[str, Any]
) -> int:
    count = 0
    with (
        whole_file(path, *SUFFIXES) as neighbour,
        _text(neighbour, compressed=str(path).lower().endswith(".gz")) as file,
    ):
        file.write('{"type":"FeatureCollection",')
        for key, value in members.items():
            # What made the features may itself hold a NaN; it becomes a word.
            plain = json.loads(json.dumps(value, default=_plain), parse_constant=str)
            file.write(f"{json.dumps(key)}:{_json(plain)},")
        file.write('"features":[')
        for text, number in texts:
            file.write(",\n" if count else "\n")
            file.write(text)
            count += number
        if not count:
            raise OutputError(f"Nothing to export: {path} would hold no objects.")
        file.write("\n]}\n")
    return count


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
