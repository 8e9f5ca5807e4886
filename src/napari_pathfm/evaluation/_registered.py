"""Features of the same places on several slides, and what they are of."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

# What a slide's staining is called where nothing tells stainings apart.
ONE_STAINING = "one staining"


@dataclass(frozen=True)
class Condition:
    """One slide of a set: the same tissue, in one staining, on one scanner.

    Attributes
    ----------
    name : str
        The slide.
    staining, scanner : str
        How it was stained, and what digitised it.
    """

    name: str
    staining: str
    scanner: str


@dataclass(frozen=True)
class Registered:
    """Slides of the same tissue, with one feature a place.

    Attributes
    ----------
    conditions : tuple of Condition
        The slides.
    load : callable
        ``load(i)`` gives float ``(n, D)`` of slide ``i``, row by row the same places.
    n : int
        How many places.
    facts : dict
        For the report: ``encoder, revision, codec, mpp, layout`` and what else there
        is to say.
    notes : tuple of str
        What a reader of the figures should know.
    """

    conditions: tuple[Condition, ...]
    load: Callable[[int], NDArray[np.floating]]
    n: int
    facts: dict[str, Any]
    notes: tuple[str, ...] = field(default=())

    def subset(self, rows: NDArray[np.integer], how: str) -> Registered:
        """Keep some places; ``how`` they were chosen goes into the facts.

        Raises
        ------
        PathfmError
            If a row is named twice or does not exist.
        """
        if len(np.unique(rows)) != len(rows) or rows.min() < 0 or rows.max() >= self.n:
            raise PathfmError(
                f"the chosen places are not distinct rows of {self.n}: choose others"
            )
        facts = self.facts | {"places": how}
        return Registered(
            self.conditions, lambda i: self.load(i)[rows], len(rows), facts, self.notes
        )


def random_subset(registered: Registered, n: int, seed: int = 0) -> Registered:
    """Keep ``n`` places drawn at random, the same on every slide.

    Raises
    ------
    PathfmError
        If there are fewer.
    """
    if n > registered.n:
        raise PathfmError(f"there are {registered.n} places, not {n}")
    rows = np.random.default_rng(seed).permutation(registered.n)[:n]
    how = f"{n} of {registered.n}, drawn with seed {seed}"
    return registered.subset(np.sort(rows), how)


def name_conditions(
    names: Sequence[str], table: Path | None = None
) -> tuple[Condition, ...]:
    """Tell each slide's staining and scanner.

    They are read from a table with the columns ``file, scanner`` and perhaps
    ``staining``; without one, from names as PLISM's, ``STAINING_SCANNER_to_...``; and
    otherwise each slide is taken for its own scanner, all of one staining.

    Raises
    ------
    PathfmError
        If the table lacks a slide or a column, or fewer than two slides are left.
    """
    if len(names) < 2:
        raise PathfmError(
            f"robustness compares slides, and there is {len(names)}: give a folder of "
            "registered slides, or one slide with --simulate"
        )
    if table is not None:
        return _from_table(names, table)
    if all("_to_" in name and name.count("_") >= 2 for name in names):
        return tuple(Condition(name, *name.split("_")[:2]) for name in names)
    return tuple(Condition(name, ONE_STAINING, name) for name in names)


def _from_table(names: Sequence[str], table: Path) -> tuple[Condition, ...]:
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PathfmError(f"{table} cannot be read as CSV: {error}") from error
    if not rows or not {"file", "scanner"} <= rows[0].keys():
        raise PathfmError(f"{table} needs the columns file, scanner (and staining)")
    told = {row["file"]: row for row in rows}
    conditions = []
    for name in names:
        row = told.get(name)
        if row is None:
            raise PathfmError(f"{table} has no row whose file is {name}")
        staining = row.get("staining") or ONE_STAINING
        conditions.append(Condition(name, staining, row["scanner"]))
    return tuple(conditions)
