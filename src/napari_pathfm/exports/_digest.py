"""What tells two arrays apart, bit for bit."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def array_sha256(array: npt.ArrayLike) -> str:
    """Give the SHA-256 of an array: of its shape, its type and every bit of its values.

    Parameters
    ----------
    array : array-like
        Of any shape and dtype but objects.

    Returns
    -------
    str
        64 hex digits.
    """
    plain: npt.NDArray[Any] = np.ascontiguousarray(array)
    told = f"{plain.dtype.newbyteorder('<').str} {np.shape(array)}"
    digest = hashlib.sha256(told.encode())
    digest.update(plain.astype(plain.dtype.newbyteorder("<"), copy=False).tobytes())
    return digest.hexdigest()
