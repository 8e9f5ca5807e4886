"""Which tiles to label next: those the classifier is unsure of, far from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._vectors import UnitVectors

# So many of the least sure tiles are compared with each other.
_CANDIDATES = 512


def label_next(
    vectors: UnitVectors,
    chances: NDArray[np.float32],
    labelled: NDArray[np.int64],
    n: int = 10,
    *,
    skip: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Choose the tiles whose labels would teach most.

    Among the tiles whose two likeliest classes lie closest together, each next one is
    that which is unsure and unlike everything labelled or chosen so far: one minus the
    margin, times the cosine distance to the nearest of those.

    Parameters
    ----------
    vectors : UnitVectors
        Of the slide.
    chances : float32 array, (N, K)
        From `FewShot.probabilities`.
    labelled : int64 array, (M,)
        Rows that have a label.
    n : int
        How many to choose.
    skip : int64 array, optional
        Rows that were offered and refused.

    Returns
    -------
    int64 array
        Rows, best first; fewer than `n` where there are no more.
    """
    known = ~np.isnan(chances[:, 0])
    known[labelled] = False
    if skip is not None:
        known[skip] = False
    free = np.flatnonzero(known)
    if not len(free) or n < 1:
        return np.array([], np.int64)
    top = np.sort(chances[free], axis=1)[:, -2:]
    doubt = 1 - (top[:, 1] - top[:, 0])
    most = np.argsort(-doubt, kind="stable")[: max(_CANDIDATES, n)]
    rows, doubt = free[most], doubt[most]
    units = vectors.rows(rows)
    seen = vectors.rows(labelled)
    distance = np.ones(len(rows), np.float32)
    if len(seen):
        distance = 1 - (units @ seen.T).max(axis=1)
    chosen: list[int] = []
    for _ in range(min(n, len(rows))):
        score = doubt * np.maximum(distance, 1e-6)
        score[chosen] = -1
        best = int(score.argmax())
        chosen.append(best)
        distance = np.minimum(distance, 1 - units @ units[best])
    return rows[chosen].astype(np.int64)
