"""HEST's regression: expression of genes from features of patches.

As HEST's own code has it (https://github.com/mahmoodlab/HEST, ``hest/bench``): features
are standardised and reduced by PCA, both fitted to the training part; a ridge
regression without intercept predicts ``log(1 + count)``; the figure is Pearson's
correlation over the tested spots, gene by gene.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._bootstrap import bootstrap_counts

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Components that are kept, where there are as many.
COMPONENTS = 256

#: Of HEST's PCA and regression.
SEED = 1

# Penalty of the ridge: this over (components x genes).
_PENALTY = 100.0
_ITERATIONS = 1000

# Numbers of a block of draws.
_BLOCK = 4_000_000


def predict_expression(
    fitted: NDArray[np.float32],
    expressed: NDArray[np.float64],
    tested: NDArray[np.float32],
) -> NDArray[np.float64]:
    """Predict expression by standardisation, PCA and ridge regression.

    Parameters
    ----------
    fitted : ndarray
        float32 ``(M, D)``: features to learn from.
    expressed : ndarray
        float64 ``(M, G)``: what is expressed there.
    tested : ndarray
        float32 ``(N, D)``.

    Returns
    -------
    ndarray
        float64 ``(N, G)``.

    Raises
    ------
    PathfmError
        If there are fewer than two patches to learn from.
    """
    from sklearn.decomposition import PCA
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    kept = components(len(fitted), fitted.shape[1])
    if kept < 1 or len(fitted) < 2:
        raise PathfmError(f"{len(fitted)} patches are too few to learn from")
    reduce = make_pipeline(
        StandardScaler(), PCA(n_components=kept, random_state=SEED)
    ).fit(fitted)
    ridge = Ridge(
        alpha=_PENALTY / (kept * expressed.shape[1]),
        solver="lsqr",
        fit_intercept=False,
        max_iter=_ITERATIONS,
        random_state=SEED,
    ).fit(reduce.transform(fitted), expressed)
    predicted = ridge.predict(reduce.transform(tested))
    return np.asarray(predicted, np.float64).reshape(len(tested), -1)


def components(spots: int, dim: int) -> int:
    """How many components are kept: 256, or as many as there can be."""
    return min(COMPONENTS, spots, dim)


def correlations(
    expressed: NDArray[np.float64], predicted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Pearson's correlation of each gene, float64 ``(G,)``; NaN of what is constant."""
    once = np.ones((1, len(expressed)))
    return np.asarray(_weighted(expressed, predicted, once)[0])


def drawn_correlations(
    expressed: NDArray[np.float64],
    predicted: NDArray[np.float64],
    *,
    draws: int,
    seed: int,
) -> NDArray[np.float64]:
    """Give the same of spots drawn with replacement.

    Returns
    -------
    ndarray
        float64 ``(draws, G)``.
    """
    block = max(1, _BLOCK // len(expressed))
    parts = []
    for number, start in enumerate(range(0, draws, block)):
        counts = bootstrap_counts(
            len(expressed), draws=min(block, draws - start), seed=seed + number
        )
        parts.append(_weighted(expressed, predicted, counts.astype(np.float64)))
    return np.concatenate(parts)


def _weighted(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    # About the means first, so that squares lose no digits.
    x, y = x - x.mean(0), y - y.mean(0)
    total = counts.sum(1, keepdims=True)
    mean_x, mean_y = counts @ x / total, counts @ y / total
    var_x = counts @ (x * x) / total - mean_x**2
    var_y = counts @ (y * y) / total - mean_y**2
    both = counts @ (x * y) / total - mean_x * mean_y
    # What is constant but for rounding has no correlation.
    flat = (var_x <= 1e-12 * (x * x).mean(0)) | (var_y <= 1e-12 * (y * y).mean(0))
    with np.errstate(invalid="ignore", divide="ignore"):
        found = both / np.sqrt(var_x * var_y)
    return np.asarray(np.where(flat, np.nan, found))
