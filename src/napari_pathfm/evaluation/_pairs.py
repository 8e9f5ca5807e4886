"""Two slides of the same tissue: how alike are their features, place by place.

The arithmetic of plism-benchmark (github.com/owkin/plism-benchmark; Filiot et al.,
arXiv 2501.16239): features are rounded to float16; the cosine is the mean over places;
for top-k both slides' tiles are put in one gallery of ``2n``, and a tile counts as
found if the same place of the *other* slide is among its k nearest, itself left out.

Where slides look so unlike that every tile's neighbours are of its own slide, that says
0 for all encoders; therefore the other slide's tiles are searched alone as well, which
plism-benchmark does not do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from numpy.typing import NDArray

#: The ks of plism-benchmark.
TOP_K = (1, 3, 5, 10)

# Rows compared with the whole gallery at a time: 67 MB for PLISM's 8,139 places.
_ROWS = 1024


def place_cosines(
    a: NDArray[np.floating], b: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Cosine of each place's two features.

    Parameters
    ----------
    a, b : ndarray
        ``(n, D)``, row by row the same places; rounded to float16 first.

    Returns
    -------
    ndarray
        float32 ``(n,)``.
    """
    first, second = _unit(a), _unit(b)
    cosines: NDArray[np.float32] = np.einsum("nd,nd->n", first, second)
    return cosines


def place_hits(
    a: NDArray[np.floating],
    b: NDArray[np.floating],
    k: Sequence[int] = TOP_K,
    *,
    device: str | torch.device = "cpu",
) -> NDArray[np.float32]:
    """Tell how often each place finds itself on the other slide.

    Parameters
    ----------
    a, b : ndarray
        ``(n, D)``, row by row the same places; rounded to float16 first.
    k : sequence of int
        How many nearest to look among.
    device : str or torch.device
        Where the products are computed, in single precision.

    Returns
    -------
    ndarray
        float32 ``(2, len(k), n)``: among the tiles of both slides, as plism-benchmark,
        and among those of the other slide alone. The mean of both directions, so 0, 0.5
        or 1. Where tiles are exactly as near as the one sought, its chance of being
        among the first k is counted; plism-benchmark takes them as they come.

    Raises
    ------
    PathfmError
        If the slides differ in length, or are so short that a top-k says nothing.
    """
    import torch

    n = len(a)
    if a.shape != b.shape:
        raise PathfmError(
            f"features of one shape are compared, not {a.shape}, {b.shape}"
        )
    if 2 * n - 1 <= max(k):
        raise PathfmError(
            f"{n} places are too few for a top-{max(k)}: take smaller tiles or a "
            "smaller stride"
        )
    gallery = torch.from_numpy(np.concatenate([_unit(a), _unit(b)])).to(device)
    hits = np.zeros((2, len(k), 2 * n), np.float32)
    columns = torch.arange(2 * n, device=device)
    for start in range(0, 2 * n, _ROWS):
        rows = torch.arange(start, min(start + _ROWS, 2 * n), device=device)
        cosine = gallery[rows] @ gallery.T
        own = torch.arange(len(rows), device=device)
        sought = cosine[own, (rows + n) % (2 * n)]
        cosine[own, rows] = -torch.inf  # a tile is not its own neighbour
        other = (columns >= n) != (rows[:, None] >= n)
        nearer, level = cosine > sought[:, None], cosine == sought[:, None]
        for which, searched in enumerate([torch.ones_like(other), other]):
            before = (nearer & searched).sum(1)
            equal = (level & searched).sum(1)
            for row, depth in enumerate(k):
                chance = ((depth - before) / equal).clamp(0, 1)
                hits[which, row, start : start + len(rows)] = chance.cpu().numpy()
    mean: NDArray[np.float32] = (hits[..., :n] + hits[..., n:]) / np.float32(2)
    return mean


def _unit(features: NDArray[np.floating]) -> NDArray[np.float32]:
    # Rounded as plism-benchmark does, but multiplied in single precision: what half
    # precision gives there depends on the GPU.
    rounded = np.asarray(features, np.float16).astype(np.float32)
    norms = np.linalg.norm(rounded, axis=1, keepdims=True)
    unit: NDArray[np.float32] = rounded / np.maximum(norms, 1e-12)
    return unit
