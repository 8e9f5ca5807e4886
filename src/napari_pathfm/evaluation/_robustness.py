"""PLISM's protocol: how far features stay the same across scanners and stainings.

Every pair of slides is measured (`_pairs`) and the pairs are summed up in four groups:
*scanner* (same staining, other scanner), *staining* (same scanner, other staining),
*both* (both differ) and *all*. The score is the mean of four medians over pairs: the
cosine of all, and the top-10 of scanner, of staining and of both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.evaluation._bootstrap import (
    DRAWS,
    Estimate,
    bootstrap_counts,
    interval,
)
from napari_pathfm.evaluation._pairs import TOP_K, place_cosines, place_hits

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_pathfm.evaluation._registered import Condition, Registered

#: Measures of a pair, in the order of its columns.
MEASURES = (
    "cosine",
    *(f"top-{k}" for k in TOP_K),
    *(f"other slide's top-{k}" for k in TOP_K),
)

#: Groups of pairs, in plism-benchmark's order.
GROUPS = ("scanner", "staining", "both", "all")

#: The medians whose mean is the score: ``(group, measure)``.
SCORE = (
    ("all", "cosine"),
    ("scanner", "top-10"),
    ("staining", "top-10"),
    ("both", "top-10"),
)


@dataclass(frozen=True)
class Robustness:
    """What `robustness` found.

    Attributes
    ----------
    conditions : tuple of Condition
        The slides.
    pairs : ndarray
        int ``(P, 2)``: which two slides each pair is.
    values : ndarray
        float64 ``(P, M)``: `MEASURES` of each pair.
    draws : ndarray
        float32 ``(P, M, B)``: the same over resampled places.
    n : int
        How many places.
    """

    conditions: tuple[Condition, ...]
    pairs: NDArray[np.int64]
    values: NDArray[np.float64]
    draws: NDArray[np.float32]
    n: int

    def members(self, group: str) -> NDArray[np.bool_]:
        """Tell which pairs belong to a group: bool ``(P,)``."""
        return _members(self.conditions, self.pairs, group)

    def summary(self, group: str, measure: str) -> dict[str, Any] | None:
        """Mean, standard deviation, median and quartile range over a group's pairs.

        Returns
        -------
        dict or None
            ``pairs, mean, std, iqr`` and ``median``, an `Estimate`; None for a group
            without pairs.
        """
        chosen = self.members(group)
        if not chosen.any():
            return None
        column = MEASURES.index(measure)
        values = self.values[chosen, column]
        first, third = np.quantile(values, [0.25, 0.75])
        return {
            "pairs": int(chosen.sum()),
            "mean": float(values.mean()),
            "std": float(values.std()),  # over all pairs, so without Bessel's n - 1
            "median": interval(
                float(np.median(values)), np.median(self.draws[chosen, column], axis=0)
            ),
            "iqr": float(third - first),
        }

    def score(self) -> Estimate | None:
        """Mean of the four medians; None where a group has no pairs."""
        if not all(self.members(group).any() for group, _ in SCORE):
            return None
        medians, draws = [], []
        for group, measure in SCORE:
            chosen, column = self.members(group), MEASURES.index(measure)
            medians.append(float(np.median(self.values[chosen, column])))
            draws.append(np.median(self.draws[chosen, column], axis=0))
        return interval(four_median_score(*medians), np.mean(draws, axis=0))


def four_median_score(
    cosine_all: float, top10_scanner: float, top10_staining: float, top10_both: float
) -> float:
    """Mean of the four medians, as plism-benchmark's leaderboard ranks by."""
    return (cosine_all + top10_scanner + top10_staining + top10_both) / 4


def robustness(
    registered: Registered,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    device: str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Robustness:
    """Measure every pair of slides.

    Parameters
    ----------
    registered : Registered
        The same places on every slide.
    draws, seed : int
        Of the bootstrap. Places are resampled, the same on all slides; slides and the
        gallery that is searched are kept, and neighbouring places are taken as
        independent, so that intervals are rather too narrow.
    device : str
        Torch device for the products.
    progress : callable, optional
        Hears ``(pairs done, pairs)``.

    Raises
    ------
    PathfmError
        If there are too few places for a top-10.
    """
    n = registered.n
    counts = bootstrap_counts(n, draws=draws, seed=seed).T / n
    pairs = list(combinations(range(len(registered.conditions)), 2))
    values = np.empty((len(pairs), len(MEASURES)))
    drawn = np.empty((len(pairs), len(MEASURES), draws), np.float32)
    first = -1
    a: NDArray[np.floating] = np.empty((0, 0))
    for row, (i, j) in enumerate(pairs):
        if i != first:
            first, a = i, registered.load(i)
        b = registered.load(j)
        cosines = place_cosines(a, b)[None]
        measured = np.concatenate([cosines, *place_hits(a, b, device=device)])
        values[row] = measured.mean(1, dtype=np.float64)
        drawn[row] = measured @ counts
        if progress is not None:
            progress(row + 1, len(pairs))
    return Robustness(registered.conditions, np.array(pairs), values, drawn, n)


def _members(
    conditions: tuple[Condition, ...], pairs: NDArray[np.int64], group: str
) -> NDArray[np.bool_]:
    staining = np.array([c.staining for c in conditions])[pairs]
    scanner = np.array([c.scanner for c in conditions])[pairs]
    same_staining = staining[:, 0] == staining[:, 1]
    same_scanner = scanner[:, 0] == scanner[:, 1]
    if group == "scanner":
        return np.asarray(same_staining)
    if group == "staining":
        return np.asarray(same_scanner)
    if group == "both":
        return np.asarray(~same_staining & ~same_scanner)
    return np.ones(len(pairs), bool)
