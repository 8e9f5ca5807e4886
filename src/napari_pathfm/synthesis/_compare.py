"""Real and synthetic pixels of the same place, told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.generators import SyntheticImage
    from napari_pathfm.slides import Slide


def difference(
    real: NDArray[np.uint8], synthetic: NDArray[np.uint8]
) -> NDArray[np.float32]:
    """Give the mean absolute difference of the colours, float32 ``(..., h, w)``.

    Parameters
    ----------
    real : ndarray
        uint8 ``(h, w, 3)``.
    synthetic : ndarray
        uint8 ``(..., h, w, 3)``.

    Returns
    -------
    ndarray
        0 where they are the same, 255 where one is black and the other white.
    """
    apart = np.abs(synthetic.astype(np.int16) - real.astype(np.int16))
    mean: NDArray[np.float32] = apart.mean(-1, dtype=np.float32)
    return mean


def real_part(slide: Slide, image: SyntheticImage) -> NDArray[np.uint8]:
    """Read the real tissue that a synthetic image stands for, pixel for pixel.

    Raises
    ------
    PathfmError
        If it was made of another slide, or does not say of which part.
    """
    told, (height, width) = image.provenance, image.pixels.shape[:2]
    if told.box is None or told.slide_fingerprint != slide.fingerprint:
        raise PathfmError(f"the image was not made of {slide.path.name}")
    x, y, wide, _ = told.box
    mpp = wide / width * slide.require_mpp()
    return slide.read(x, y, width, height, mpp=mpp)
