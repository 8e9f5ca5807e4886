"""The cells that a map puts highest or lowest."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from napari_pathfm.heatmaps._heatmap import Heatmap


class Found(NamedTuple):
    """A cell of a map: level-0 ``(x, y)`` of its centre, and its value."""

    x: float
    y: float
    value: float


def extremes(heatmap: Heatmap, n: int = 12, *, lowest: bool = False) -> list[Found]:
    """Give the `n` highest cells, or the lowest, the most extreme first.

    Parameters
    ----------
    heatmap : Heatmap
    n : int
        Fewer are given where the map has fewer.
    lowest : bool
        From the other end.
    """
    flat = heatmap.values.ravel()
    cells = np.flatnonzero(~np.isnan(flat))
    order = flat[cells] if lowest else -flat[cells]
    n = min(n, len(cells))
    if n < len(cells):
        kept = np.argpartition(order, n)[:n] if n else np.array([], np.int64)
        cells, order = cells[kept], order[kept]
    cells = cells[np.argsort(order, kind="stable")]
    centres = heatmap.centres().reshape(-1, 2)[cells]
    return [
        Found(float(x), float(y), float(flat[cell]))
        for (x, y), cell in zip(centres, cells, strict=True)
    ]
