"""Many stores' vectors as one file that finds near ones without looking at all.

The file is usearch's own (a hierarchical navigable small-world graph over unit vectors
in half precision), which reads no further than it needs; behind it stand a line of JSON
that says which stores it was built from, its length in eight bytes, and a mark. A file
without the mark was not written to its end.
"""

from __future__ import annotations

import json
import os
import struct
import uuid
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import Cancelled, OutputError, StoreError
from napari_pathfm.heatmaps._searched import blocks, comparable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps._searched import LeftOut

FORMAT = "napari-pathfm search index"
VERSION = 1
_MARK = b"pathfmix"
# A line for each of 100,000 stores is 40 MB.
_LONGEST = 256 << 20
# How many nodes of the graph are looked at for one vector, at least: while it is built,
# and while it is asked. usearch's defaults are 128 and 64: half of the first takes 2.5
# times less to build and misses one of 1,000 nearest (benchmarks/search.py).
_EFFORT_ADD = 64
_EFFORT_SEARCH = 256


class SearchIndex:
    """An index that `open_index` has opened; `search` takes it in place of stores.

    Parameters
    ----------
    path : Path
        Its file.
    graph : usearch.index.Index
        The open graph.
    facts : dict
        What the file says of itself.
    """

    def __init__(self, path: Path, graph: Any, facts: dict[str, Any]) -> None:
        self.path = path
        self.attrs: dict[str, Any] = facts["attrs"]
        self._graph = graph
        self._stores: list[dict[str, Any]] = facts["stores"]
        sizes = [int(one["rows"]) for one in self._stores]
        self._first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)

    def __len__(self) -> int:
        """Count the vectors."""
        return len(self._graph)

    @property
    def stores(self) -> list[Path]:
        """Where the stores are that it was built from."""
        return [self._place(one) for one in self._stores]

    def check(self) -> None:
        """See that every store is as it was.

        Raises
        ------
        StoreError
            One has changed, or is gone.
        """
        for number in range(len(self._stores)):
            self._store(number)

    def nearest(
        self, direction: NDArray[np.float32], n: int
    ) -> list[tuple[EmbeddingStore, NDArray[np.int64]]]:
        """Find rows whose vectors are near, and next to all of the nearest.

        Parameters
        ----------
        direction : float32 array, (D,)
            Of unit length.
        n : int
            How many to give.

        Returns
        -------
        list of (EmbeddingStore, int64 array)
            Rows of each store that has any, ascending.

        Raises
        ------
        StoreError
            Such a store has changed, or is gone.
        """
        self._graph.expansion_search = max(n, _EFFORT_SEARCH)
        keys = np.sort(self._graph.search(direction, n).keys.astype(np.int64))
        numbers = np.searchsorted(self._first, keys, side="right") - 1
        return [
            (self._store(number), keys[numbers == number] - self._first[number])
            for number in np.unique(numbers).tolist()
        ]

    def _store(self, number: int) -> EmbeddingStore:
        from napari_pathfm.embeddings import open_store

        told = self._stores[number]
        path = self._place(told)
        if not path.exists():
            raise StoreError(
                f"{path} is gone, which {self.path.name} was built from: bring it "
                "back, or build the index again with `napari-pathfm index`"
            )
        store = open_store(path)
        if store.stamp != told["stamp"]:
            raise StoreError(
                f"{path} has changed since {self.path.name} was built from it: build "
                "the index again with `napari-pathfm index`"
            )
        return store

    def _place(self, told: dict[str, Any]) -> Path:
        """Where a store is: as it lay beside the index, else where it was."""
        near = told["relative"] and self.path.parent / told["relative"]
        return near if near and near.exists() else Path(told["path"])


def build_index(
    stores: Iterable[EmbeddingStore | str | Path],
    path: str | Path,
    *,
    on_left_out: LeftOut | None = None,
    progress: Callable[[int, int], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> SearchIndex:
    """Build an index over stores; the file is there when it is whole.

    Parameters
    ----------
    stores : iterable of EmbeddingStore or path
        Comparable with each other. Tiles that are not embedded yet are not in it.
    path : path
        An existing file is replaced.
    on_left_out, progress, cancelled
        As for `search`.

    Returns
    -------
    SearchIndex

    Raises
    ------
    StoreError
        usearch is not installed, or a store cannot be read or compared with the first.
    OutputError
        The file cannot be written.
    Cancelled
        `cancelled` said so; nothing is written.
    """
    from napari_pathfm.embeddings import comparable_facts

    usearch, path = _usearch(), Path(path)
    if not path.parent.is_dir():
        raise OutputError(f"{path} cannot be written: make the folder {path.parent}")
    fit = comparable(stores, None, on_left_out)
    total, before, graph = sum(map(len, fit)), 0, None
    kept: list[dict[str, Any]] = []
    for store in fit:
        try:
            told = _told(store, path)
            # All of a store is read before any of it is added: one that turns out to be
            # damaged is left out whole.
            read = list(blocks(store))
        except StoreError as error:
            if on_left_out is None:
                raise
            on_left_out(store.path, error)
            before += len(store)
            continue
        for start, vectors, done in read:
            if cancelled is not None and cancelled():
                raise Cancelled("the index was not built")
            if graph is None:
                graph = usearch.Index(
                    ndim=vectors.shape[1],
                    metric="ip",  # of unit vectors: the cosine
                    dtype="f16",
                    expansion_add=_EFFORT_ADD,
                )
            first = sum(one["rows"] for one in kept) + start
            graph.add(first + np.flatnonzero(done), vectors[done])
            if progress is not None:
                progress(before + start + len(done), total)
        kept.append(told)
        before += len(store)
    if graph is None or not len(graph):
        raise StoreError("there is nothing embedded that an index could be built of")
    facts = {"format": FORMAT, "version": VERSION, "stores": kept}
    _write(graph, facts | {"attrs": comparable_facts(fit[0].attrs)}, path)
    return open_index(path)


def open_index(path: str | Path) -> SearchIndex:
    """Open an index, if all of its stores are as they were.

    Raises
    ------
    StoreError
        There is none, it is damaged, of another kind or a newer version, a store has
        changed since, or usearch is not installed.
    """
    usearch, path = _usearch(), Path(path)
    if not path.is_file():
        raise StoreError(
            f"{path} does not exist: build it with `napari-pathfm index STORES --out "
            f"{path}`"
        )
    facts = _facts(path)
    try:
        graph = usearch.Index.restore(str(path), view=True)
        index = SearchIndex(path, graph, facts)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged: build it again") from error
    index.check()
    return index


def _usearch() -> Any:
    try:
        return import_module("usearch.index")
    except ImportError as error:
        raise StoreError(
            "an index needs usearch: pip install 'napari-pathfm[index]'; without "
            "--index, search looks at everything"
        ) from error


def _told(store: EmbeddingStore, index: Path) -> dict[str, Any]:
    path = store.path.absolute()
    try:
        relative = Path(os.path.relpath(path, index.parent.absolute())).as_posix()
    except ValueError:  # another drive of Windows
        relative = None
    return {
        "path": str(path),
        "relative": relative,
        "slide": store.attrs.get("slide"),
        "slide_fingerprint": store.attrs.get("slide_fingerprint"),
        "rows": len(store),
        "stamp": store.stamp,
    }


def _write(graph: Any, facts: dict[str, Any], path: Path) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.partial")
    text = json.dumps(facts).encode()
    try:
        graph.save(str(part))
        with part.open("ab") as file:
            file.write(text + struct.pack("<q", len(text)) + _MARK)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    # usearch says of a full disk what C++ does.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{path} cannot be written ({reason}): choose another place"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _facts(path: Path) -> dict[str, Any]:
    tail = 8 + len(_MARK)
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            file.seek(max(0, end - tail))
            length, mark = struct.unpack("<q8s", file.read(tail).rjust(tail))
            if mark != _MARK or not 0 < length <= min(end - tail, _LONGEST):
                raise ValueError("no mark")
            file.seek(end - tail - length)
            facts = json.loads(file.read(length))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} is no search index, or it is damaged: build it again with "
            "`napari-pathfm index`"
        ) from error
    if facts.get("format") != FORMAT or facts.get("version", 0) > VERSION:
        raise StoreError(f"{path} was written by a newer napari-pathfm: upgrade")
    return dict(facts)
