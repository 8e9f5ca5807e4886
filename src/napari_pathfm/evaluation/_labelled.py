"""Tiles with a label, and perhaps a group and a split, as they lie in folders."""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._tiles import PICTURES, pictures_in

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TRAIN, _TEST = "train", "test"


@dataclass(frozen=True)
class Labelled:
    """Tiles and what is known of them.

    Attributes
    ----------
    paths : tuple of Path
        One picture a tile.
    labels : ndarray of str
        ``(N,)``.
    groups : ndarray of str or None
        ``(N,)``: patient, case or slide, which is never on both sides of a split.
    test : ndarray of bool or None
        ``(N,)``: which tiles are the test set; None where folds have to be made.
    """

    paths: tuple[Path, ...]
    labels: NDArray[np.str_]
    groups: NDArray[np.str_] | None
    test: NDArray[np.bool_] | None

    @property
    def classes(self) -> list[str]:
        """The labels there are, in alphabetical order."""
        return sorted(set(self.labels.tolist()))


def labelled_tiles(
    folder: Path,
    *,
    label: str | None = None,
    group: str | None = None,
    table: Path | None = None,
) -> Labelled:
    """Find labelled tiles.

    Parameters
    ----------
    folder : Path
        ``CLASS/*.png``, or ``train/CLASS/*`` and ``test/CLASS/*``; or pictures side by
        side, with `label` or `table`.
    label, group : str, optional
        Regular expressions whose first group, found in a file's name, is its label or
        its group.
    table : Path, optional
        CSV with the columns ``file, label`` and perhaps ``group`` and ``split``
        (train or test); files are relative to the folder.

    Raises
    ------
    PathfmError
        If there are no tiles, a name does not match, or there are not two labels.
    """
    if not folder.is_dir():
        raise PathfmError(f"{folder} is no folder of tiles")
    if table is not None:
        rows = _from_table(folder, table)
    else:
        files, parts = _listed(folder)
        labels = [
            path.parent.name if label is None else _matched(path, label, "label")
            for path in files
        ]
        groups = [_matched(p, group, "group") if group else "" for p in files]
        rows = list(zip(files, labels, groups, parts, strict=True))
    if not rows:
        raise PathfmError(
            f"{folder} holds no tiles: expected CLASS/*.png, train/CLASS/* and "
            "test/CLASS/*, or pictures with --label or --labels"
        )
    named, grouped, parted = (np.array([row[i] for row in rows]) for i in (1, 2, 3))
    if len(set(named)) < 2:
        raise PathfmError(f"all tiles of {folder} are {named[0]}: two labels at least")
    if any(parted) and set(parted) != {_TRAIN, _TEST}:
        raise PathfmError(f"the splits of {folder} are not just train and test")
    found = Labelled(
        tuple(row[0] for row in rows),
        named,
        grouped if any(grouped) else None,
        parted == _TEST if any(parted) else None,
    )
    _check_leak(found)
    return found


def _check_leak(tiles: Labelled) -> None:
    if tiles.groups is None or tiles.test is None:
        return
    shared = set(tiles.groups[tiles.test]) & set(tiles.groups[~tiles.test])
    if shared:
        raise PathfmError(
            f"{sorted(shared)[0]} is in train and in test: split by group, or the "
            "probe is told the answer"
        )


def _listed(folder: Path) -> tuple[list[Path], list[str]]:
    split = all((folder / part).is_dir() for part in (_TRAIN, _TEST))
    files, parts = [], []
    for part in (_TRAIN, _TEST) if split else ("",):
        root = folder / part
        own = pictures_in(root)
        for inner in sorted(p for p in root.iterdir() if p.is_dir()):
            own += pictures_in(inner)
        files += own
        parts += [part] * len(own)
    return files, parts


def _matched(path: Path, expression: str, what: str) -> str:
    try:
        found = re.search(expression, path.name)
    except re.error as error:
        raise PathfmError(f"{expression!r} is no regular expression: {error}") from None
    if found is None or not found.groups():
        raise PathfmError(
            f"{expression!r} finds no {what} in {path.name}: put (...) around what is "
            f"the {what}"
        )
    return str(found[1])


def _from_table(folder: Path, table: Path) -> list[tuple[Path, str, str, str]]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PathfmError(f"{table} cannot be read as CSV: {error}") from error
    if not rows or not {"file", "label"} <= rows[0].keys():
        raise PathfmError(f"{table} needs the columns file, label (group, split)")
    found = []
    for row in rows:
        path = folder / row["file"]
        if path.suffix.lower() not in PICTURES or not path.is_file():
            raise PathfmError(f"{table} names {row['file']}, which {folder} lacks")
        values = (row["label"], row.get("group") or "", row.get("split") or "")
        found.append((path, *values))
    return found
