"""Painted labels, packed in bands: a stroke packs the rows that it went over."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows to a band: a brush goes over one or two of them.
_ROWS = 64


@dataclass(frozen=True)
class Packed:
    """All labels of a slide, small; equal where they are.

    Attributes
    ----------
    shape : (int, int)
    dtype : str
        As NumPy writes it.
    bands : tuple of bytes
        From above, empty where nothing is painted.
    """

    shape: tuple[int, ...]
    dtype: str
    bands: tuple[bytes, ...]

    def unpack(self) -> NDArray[Any]:
        """Give the labels."""
        labels = np.zeros(self.shape, self.dtype)
        for number, band in enumerate(self.bands):
            if band:
                rows = labels[number * _ROWS : (number + 1) * _ROWS]
                flat = np.frombuffer(zlib.decompress(band), self.dtype)
                rows[:] = flat.reshape(rows.shape)
        return labels


class LabelBands:
    """The labels of one layer as they were when last looked at, packed and plain."""

    def __init__(self) -> None:
        self._labels = np.zeros((0, 0), np.uint8)
        self._bands: list[bytes] = []

    def look(self, labels: NDArray[Any]) -> None:
        """See what has changed; only that is packed."""
        before = self._labels
        if before.shape != labels.shape or before.dtype != labels.dtype:
            before = self._labels = np.zeros_like(labels)
            self._bands = [b""] * -(-len(labels) // _ROWS)
        other = np.flatnonzero((before != labels).any(axis=1))
        for number in np.unique(other // _ROWS).tolist():
            span = slice(number * _ROWS, (number + 1) * _ROWS)
            before[span] = rows = labels[span]
            self._bands[number] = _packed(rows) if rows.any() else b""

    @property
    def packed(self) -> Packed | None:
        """The labels; None where nothing is painted."""
        if not any(self._bands):
            return None
        return Packed(self._labels.shape, self._labels.dtype.str, tuple(self._bands))


def _packed(rows: NDArray[Any]) -> bytes:
    return zlib.compress(rows.tobytes(), 1)
