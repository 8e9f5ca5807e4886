"""Confidence intervals by the bootstrap, over single items or over whole groups."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

#: Share of the draws that an interval holds.
LEVEL = 0.95

# Of the jackknife: groups, and the 97.5 % quantile of Student's t for one fewer.
_BLOCKS, _T9 = 10, 2.262157

#: Draws where a caller does not say.
DRAWS = 1000


@dataclass(frozen=True)
class Estimate:
    """A figure with its confidence interval.

    Attributes
    ----------
    value : float
        The figure on the items themselves.
    low, high : float
        Where the middle 95 % of the draws lie (percentile bootstrap, Efron 1979).
    """

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"

    def to_json(self) -> dict[str, float]:
        """Give plain numbers."""
        return {name: float(value) for name, value in asdict(self).items()}


def bootstrap_counts(
    n: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
    groups: Sequence[object] | NDArray[np.str_] | None = None,
) -> NDArray[np.float32]:
    """Say how often each item comes up in each draw with replacement.

    Parameters
    ----------
    n : int
        How many items.
    draws : int
        How many draws.
    seed : int
        Source of randomness.
    groups : sequence, optional
        Each item's group, such as its patient: whole groups are drawn then, as many
        as there are, since items of one group are not independent.

    Returns
    -------
    ndarray
        float32 ``(draws, n)``.

    Raises
    ------
    PathfmError
        If there is nothing to draw from.
    """
    if n < 1 or draws < 1:
        raise PathfmError(f"a bootstrap needs items and draws, not {n} and {draws}")
    rng = np.random.default_rng(seed)
    if groups is None:
        return _multinomial(rng, n, draws)
    _, group = np.unique([str(g) for g in groups], return_inverse=True)
    if len(group) != n:
        raise PathfmError(f"{len(group)} groups were given for {n} items")
    return _multinomial(rng, int(group.max()) + 1, draws)[:, group]


def interval(value: float, draws: NDArray[np.floating]) -> Estimate:
    """Give a figure its percentile interval; draws that are NaN are left out."""
    tail = 100 * (1 - LEVEL) / 2
    usable = draws[~np.isnan(draws)]
    if not len(usable):
        return Estimate(value, float("nan"), float("nan"))
    low, high = np.percentile(usable, [tail, 100 - tail])
    return Estimate(float(value), float(low), float(high))


def jackknife(
    figure: Callable[[NDArray[np.int64]], float], n: int, *, seed: int = 0
) -> Estimate:
    """Give a figure an interval by leaving out a tenth of the items at a time.

    The bootstrap repeats items, which biases distances between distributions; the
    delete-a-group jackknife does not. The interval is ``value +- t SE``, with Student's
    t for nine degrees of freedom.

    Parameters
    ----------
    figure : callable
        Computes the figure from the rows that are kept.
    n : int
        How many items, ten at least.
    seed : int
        Of the dealing into tenths.
    """
    rows = np.random.default_rng(seed).permutation(n)
    value = figure(np.arange(n))
    block = np.arange(n) % _BLOCKS
    left = [figure(np.sort(rows[block != i])) for i in range(_BLOCKS)]
    error = float(np.sqrt((_BLOCKS - 1) * np.var(left)))
    return Estimate(value, value - _T9 * error, value + _T9 * error)


def _multinomial(rng: np.random.Generator, n: int, draws: int) -> NDArray[np.float32]:
    return rng.multinomial(n, np.full(n, 1 / n), size=draws).astype(np.float32)
