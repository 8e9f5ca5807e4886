"""Slides with labels, from embedding stores and a table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError, StoreError
from napari_pathfm.evaluation._head import COMPARABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore


@dataclass(frozen=True)
class SlideSet:
    """Slides, each a bag of features, with labels and patients.

    Attributes
    ----------
    names : tuple of str
        Stems of the slides.
    bags : list of ndarray
        float32 ``(n_i, D)``.
    classes : tuple of str
        In alphabetical order.
    labels : ndarray
        int64 ``(S,)``: rows of `classes`.
    patients : ndarray of str
        ``(S,)``: never on both sides of a split.
    features : dict
        What all stores share: `COMPARABLE`.
    """

    names: tuple[str, ...]
    bags: list[NDArray[np.float32]]
    classes: tuple[str, ...]
    labels: NDArray[np.int64]
    patients: NDArray[np.str_]
    features: dict[str, Any]


def labelled_slides(stores: Sequence[EmbeddingStore], table: Path) -> SlideSet:
    """Bring stores and a table together.

    Parameters
    ----------
    stores : sequence of EmbeddingStore
        Of one encoder, weights, pooling, mpp and tile. Tiles that are not done are left
        out, and slides that the table does not name.
    table : Path
        CSV with the columns ``slide`` (file name or stem), ``label`` and perhaps
        ``patient``; without it each slide is a patient of its own.

    Raises
    ------
    PathfmError
        If the table cannot be used, or names a slide that no store is of.
    StoreError
        If the stores are not comparable.
    """
    rows = _rows(table)
    by_name: dict[str, EmbeddingStore] = {}
    for store in stores:
        name = Path(str(store.attrs["slide"])).stem
        if name in by_name:
            raise StoreError(
                f"{by_name[name].path} and {store.path} are both of {name}: give a "
                "folder with the stores of one encoder"
            )
        by_name[name] = store
    if missing := [name for name in rows if name not in by_name]:
        raise PathfmError(
            f"no store is of {missing[0]} ({len(missing)} of {len(rows)} slides of "
            f"{table}): run embed on it"
        )
    names = tuple(sorted(rows))
    first = by_name[names[0]]
    bags = []
    for name in names:
        store = by_name[name]
        for key in COMPARABLE:
            if store.attrs.get(key) != first.attrs.get(key):
                raise StoreError(
                    f"{store.path} and {first.path} differ in {key} "
                    f"({store.attrs.get(key)}, {first.attrs.get(key)}): embed alike"
                )
        bag = store.features[store.done].astype(np.float32)
        if not len(bag):
            raise StoreError(f"{store.path} has no finished tile: run embed on it")
        bags.append(bag)
    classes = tuple(sorted({rows[name][0] for name in names}))
    if len(classes) < 2:
        raise PathfmError(
            f"all slides of {table} are {classes[0]}: two labels at least"
        )
    return SlideSet(
        names,
        bags,
        classes,
        np.array([classes.index(rows[name][0]) for name in names], np.int64),
        np.array([rows[name][1] or name for name in names]),
        {key: first.attrs.get(key) for key in COMPARABLE},
    )


def _rows(table: Path) -> dict[str, tuple[str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PathfmError(f"{table} cannot be read as CSV: {error}") from error
    if not rows or not {"slide", "label"} <= rows[0].keys():
        raise PathfmError(f"{table} needs the columns slide, label (and patient)")
    found = {}
    for row in rows:
        if not row["label"]:
            raise PathfmError(f"{table} gives {row['slide']} no label")
        found[Path(row["slide"]).stem] = (row["label"], row.get("patient") or "")
    return found
