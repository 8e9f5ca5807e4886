"""Noise that belongs to a place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Cells of the blocks that noise is drawn in; never change it, or images change.
_BLOCK = 16
_WORD = 2**64 - 1
_HALF = 2**32 - 1


def placed_noise(
    seed: int, channels: int, row: int, column: int, height: int, width: int
) -> NDArray[np.float32]:
    """Draw standard normal noise from seed and position alone.

    Two areas that overlap have the same noise where they do, whichever is drawn first.
    Each block of 16 x 16 cells has its own stream of the counter-based generator Philox
    (Salmon et al. 2011), whose key is the seed and the block's place.

    Parameters
    ----------
    seed : int
    channels : int
    row, column : int
        The first cell; may be negative.
    height, width : int
        In cells.

    Returns
    -------
    ndarray
        float32 ``(channels, height, width)``.
    """
    first_row, first_column = row // _BLOCK, column // _BLOCK
    blocks = [
        [
            _block(seed, channels, r, c)
            for c in range(first_column, (column + width - 1) // _BLOCK + 1)
        ]
        for r in range(first_row, (row + height - 1) // _BLOCK + 1)
    ]
    top, left = row - first_row * _BLOCK, column - first_column * _BLOCK
    whole = np.block(blocks)
    return np.ascontiguousarray(whole[:, top : top + height, left : left + width])


def _block(seed: int, channels: int, row: int, column: int) -> NDArray[np.float32]:
    place = (row & _HALF) << 32 | (column & _HALF)
    stream = np.random.Generator(
        np.random.Philox(key=np.array([seed & _WORD, place], np.uint64))
    )
    return stream.standard_normal((channels, _BLOCK, _BLOCK), dtype=np.float32)
