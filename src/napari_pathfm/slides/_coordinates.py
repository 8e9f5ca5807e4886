"""The one place where level-0 pixels become napari's world and back.

Files and public functions speak level-0 pixels ``(x, y)`` whose origin is the *corner*
of the top-left pixel, as OpenSlide and QuPath do. napari speaks ``(row, column)`` and
puts an integer coordinate at a pixel's *centre*. The half pixel between the two is
added and taken away here and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def level0_to_world(xy: ArrayLike, mpp: float) -> NDArray[np.float64]:
    """Convert level-0 pixels to napari's world.

    Parameters
    ----------
    xy : array_like, shape (..., 2)
        Level-0 ``(x, y)``, corner origin, in pixels.
    mpp : float
        Micrometres per level-0 pixel.

    Returns
    -------
    float64 array, shape (..., 2)
        World ``(row, column)`` in micrometres; ``(0, 0)`` is the centre of the top-left
        pixel.
    """
    points = np.asarray(xy, dtype=np.float64)
    return (points[..., ::-1] - 0.5) * mpp


def world_to_level0(yx: ArrayLike, mpp: float) -> NDArray[np.float64]:
    """Convert napari's world to level-0 pixels; the inverse of `level0_to_world`.

    Parameters
    ----------
    yx : array_like, shape (..., 2)
        World ``(row, column)`` in micrometres.
    mpp : float
        Micrometres per level-0 pixel.

    Returns
    -------
    float64 array, shape (..., 2)
        Level-0 ``(x, y)``, corner origin, in pixels.
    """
    points = np.asarray(yx, dtype=np.float64)
    return points[..., ::-1] / mpp + 0.5


def grid_transform(
    origin: tuple[float, float], stride: float, mpp: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Place a layer that has one pixel per `stride` level-0 pixels.

    Parameters
    ----------
    origin : (float, float)
        Level-0 ``(x, y)`` of the top-left *corner* of the layer's first pixel.
    stride : float
        Level-0 pixels per pixel of the layer.
    mpp : float
        Micrometres per level-0 pixel.

    Returns
    -------
    scale, translate : (float, float), (float, float)
        Both as ``(row, column)`` in micrometres, ready for a napari layer. The centre
        of the layer's first pixel lies ``(stride - 1) / 2`` level-0 pixels after the
        centre of the level-0 pixel at `origin`.
    """
    x, y = origin
    half = (stride - 1) / 2
    scale = (stride * mpp, stride * mpp)
    return scale, ((y + half) * mpp, (x + half) * mpp)
