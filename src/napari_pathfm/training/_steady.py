"""A last layer for patches that says what their surroundings change little.

A patch is seen again in crops that lie around it in other ways. What it is said to be
differs: a network looks at its whole crop, and knows how far the edge is. Maps are put
together from tiles, so these differences show at the tiles' borders.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from napari_pathfm.training._regression import Axes

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

RIDGE = 0.03  # of `Axes.fit_steady`; our choice, by looking at maps
_AT_ONCE = 64


def margin(side: int) -> int:
    """How many patches crops are moved, of `side` that they have: three eighths."""
    return max(3 * side // 8, 1)


def steady_layer(
    look: Callable[[NDArray[np.uint8]], Tensor],
    layer: nn.Linear,
    pictures: NDArray[np.uint8],
    count: int,
    patch_px: int,
    moved: int,
) -> nn.Linear:
    """Keep of what a layer says the axes that surroundings change least.

    Parameters
    ----------
    look : callable
        Of crops, uint8 ``(n, px, px, 3)``: patch tokens, ``(n, t, D)``.
    layer : Linear
        From tokens to what is said.
    pictures : ndarray
        uint8 ``(n, px + m, px + m, 3)``; every corner is a crop.
    count : int
        How many axes are kept.
    patch_px : int
        Side of a patch.
    moved : int
        By how many patches the corners are apart, m.

    Returns
    -------
    Linear
        From tokens to ``count`` numbers, zero on average.
    """
    whole = pictures.shape[1] // patch_px
    near, far = slice(0, whole - moved), slice(moved, whole)
    seen = []
    for rows, columns in ((near, near), (far, far), (far, near), (near, far)):
        y, x = (slice(s.start * patch_px, s.stop * patch_px) for s in (rows, columns))
        said = torch.cat(
            [layer(look(part[:, y, x])) for part in _parts(pictures)]
        ).unflatten(1, (whole - moved, whole - moved))
        # Of each corner, what all four have.
        own = [slice(moved - s.start, whole - moved - s.start) for s in (rows, columns)]
        seen.append(said[:, own[0], own[1]])
    axes = Axes(layer.out_features, count)
    views = torch.stack(seen, 3).flatten(0, 2).cpu()
    axes.fit_steady(views, RIDGE, "model.steady_axes")
    turn = axes.axes.to(layer.weight.device)
    made = nn.Linear(layer.in_features, count).to(layer.weight.device)
    with torch.no_grad():
        made.weight.copy_(turn.T @ layer.weight)
        made.bias.copy_(F.linear(layer.bias - axes.mean.to(turn.device), turn.T))
    return made


def _parts(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [pictures[i : i + _AT_ONCE] for i in range(0, len(pictures), _AT_ONCE)]
