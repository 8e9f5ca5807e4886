"""Precision, recall, density and coverage, by balls about each feature.

Precision and recall: Kynkaanniemi et al. 2019; density and coverage: Naeem et al. 2020,
whose code counts a feature on the edge of a ball as outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: A ball reaches to this neighbour of its own set.
NEIGHBOUR = 5


@dataclass(frozen=True)
class Manifold:
    """What each feature contributes; the figures are the means.

    Attributes
    ----------
    precision, density : ndarray
        ``(m,)``, of the generated: whether in the ball of a real one; in how many such
        balls, over k.
    recall, coverage : ndarray
        ``(n,)``, of the real: whether in the ball of a generated one; whether the own
        ball holds a generated one.
    """

    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    density: NDArray[np.float64]
    coverage: NDArray[np.float64]


def manifold(
    real: NDArray[np.floating], generated: NDArray[np.floating], k: int = NEIGHBOUR
) -> Manifold:
    """Compare two sets by the balls that reach to each feature's k-th neighbour.

    Parameters
    ----------
    real, generated : ndarray
        ``(n, D)`` and ``(m, D)``.
    k : int
        Which neighbour, a feature itself not counted.

    Raises
    ------
    PathfmError
        If a set has no k-th neighbour.
    """
    if min(len(real), len(generated)) <= k:
        raise PathfmError(
            f"{len(real)} and {len(generated)} tiles are too few for balls to the "
            f"{k}th neighbour"
        )
    centre = real.mean(0, dtype=np.float64)  # so that differences lose no digits
    x, y = real - centre, generated - centre
    of_real, of_generated = _radii(x, k), _radii(y, k)
    apart = _distances(x, y)
    in_real = apart < of_real[:, None]
    return Manifold(
        precision=in_real.any(0).astype(float),
        recall=(apart < of_generated).any(1).astype(float),
        density=in_real.sum(0) / k,
        coverage=in_real.any(1).astype(float),
    )


def _radii(x: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    apart = _distances(x, x)
    np.fill_diagonal(apart, -1)  # itself comes first, whatever rounding does
    return np.asarray(np.partition(apart, k, axis=1)[:, k])


def _distances(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    squared = (x**2).sum(1)[:, None] + (y**2).sum(1) - 2 * x @ y.T
    apart: NDArray[np.float64] = np.sqrt(np.maximum(squared, 0))
    return apart
