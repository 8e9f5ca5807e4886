"""Colour and contrast alone: what features are worth that know nothing of tissue.

A floor to hold an encoder against, and a space that conditioned no generator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

#: What a report calls these features.
COLOUR = "colour and contrast"


def colour_features(tiles: Iterable[NDArray[np.uint8]]) -> NDArray[np.float32]:
    """Mean, standard deviation and mean absolute gradient of R, G and B.

    Parameters
    ----------
    tiles : iterable of ndarray
        uint8 ``(h, w, 3)`` each.

    Returns
    -------
    ndarray
        float32 ``(N, 9)``, in 0..1.
    """
    rows = []
    for tile in tiles:
        unit = tile.astype(np.float32) / 255
        steps = (np.abs(np.diff(unit, axis=axis)).mean((0, 1)) for axis in (0, 1))
        parts = (unit.mean((0, 1)), unit.std((0, 1)), sum(steps) / 2)
        rows.append(np.concatenate(parts))
    return np.asarray(rows, np.float32)
