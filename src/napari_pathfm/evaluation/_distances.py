"""Distances between two sets of features: Fréchet's, and the kernel distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frechet_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Fréchet distance of the Gaussians fitted to two sets (Heusel et al. 2017).

    ``|m_a - m_b|^2 + tr(S_a + S_b - 2 (S_a S_b)^(1/2))`` with unbiased covariances. The
    last trace is the nuclear norm of ``A B^T``, where ``A`` and ``B`` are the centred
    features over ``sqrt(n - 1)``; it needs no square root of a matrix, and holds where
    covariances are singular (fewer features than dimensions).

    Parameters
    ----------
    a, b : ndarray
        ``(n, D)`` and ``(m, D)``.

    Raises
    ------
    PathfmError
        If a set has fewer than two features, or they are of other lengths.
    """
    _check(a, b)
    means = [x.mean(0, dtype=np.float64) for x in (a, b)]
    roots = [
        (x.astype(np.float64) - mean) / np.sqrt(len(x) - 1)
        for x, mean in zip((a, b), means, strict=True)
    ]
    spread = sum(float((root**2).sum()) for root in roots)
    # R of QR has the same singular products, in D rows at most.
    small = [
        np.asarray(np.linalg.qr(root, mode="r")) if len(root) > root.shape[1] else root
        for root in roots
    ]
    shared = float(np.linalg.svdvals(small[0] @ small[1].T).sum())
    return float(((means[0] - means[1]) ** 2).sum()) + spread - 2 * shared


def kernel_distance(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """KID: unbiased squared MMD with the kernel ``(x.y / D + 1)^3``.

    Binkowski et al. 2018, on all features rather than on subsets. Near zero, and as
    often below as above it, where both sets come from one distribution.

    Parameters
    ----------
    a, b : ndarray
        ``(n, D)`` and ``(m, D)``.

    Raises
    ------
    PathfmError
        If a set has fewer than two features, or they are of other lengths.
    """
    _check(a, b)
    x, y = a.astype(np.float64), b.astype(np.float64)
    within = sum(_mean_off_diagonal(_kernel(z, z)) for z in (x, y))
    return within - 2 * float(_kernel(x, y).mean())


def _kernel(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    kernel: NDArray[np.float64] = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def _mean_off_diagonal(kernel: NDArray[np.float64]) -> float:
    n = len(kernel)
    return float((kernel.sum() - np.trace(kernel)) / (n * (n - 1)))


def _check(a: NDArray[np.floating], b: NDArray[np.floating]) -> None:
    if (
        a.ndim != 2
        or b.ndim != 2
        or a.shape[1] != b.shape[1]
        or min(map(len, (a, b))) < 2
    ):
        raise PathfmError(f"features of {a.shape} and {b.shape} have no distance")
