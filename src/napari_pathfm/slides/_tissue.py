"""Where there is tissue and where there is glass."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.slides._regions import overview_sampling, read_sampled
from napari_pathfm.slides._resample import BOX

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from napari_pathfm.slides._levels import Sampling
    from napari_pathfm.slides._slide import Slide

# The mask's pixel: about 4 um, or 8 level-0 pixels where nobody knows how long they
# are, but never more than 2048 of them on a side.
_PIXEL_UM = 4.0
_PIXEL_LEVEL0 = 8.0
_MAX_SIDE = 2048

# Blurring joins nuclei with the pale matrix between them, and drowns JPEG and sensor
# noise.
_SIGMA = 1.5

# Otsu finds a threshold in anything, in clean glass too. Tinted glass (grey, faintly
# pink or blue) stays below 12 of 255; the palest stroma and fat rise above 20.
_THRESHOLDS = (12.0, 20.0)

# In mask pixels of nominal size: specks of dirt and single cells go, lumina up to about
# 40 um across count as tissue.
_SPECK_PIXELS = 400
_HOLE_PIXELS = 100


@dataclass(frozen=True, eq=False)
class TissueMask:
    """Where a slide has tissue.

    Attributes
    ----------
    mask : bool array, shape (h, w)
        True on tissue. Pixel ``(i, j)`` covers level-0 ``[j * downsample, (j + 1) *
        downsample)`` across, and down alike.
    downsample : float
        Level-0 pixels per pixel of the mask.
    fraction : float
        Share of the slide that is tissue, 0 to 1.
    parameters : dict
        How the mask was made; JSON-serialisable.
    """

    mask: NDArray[np.bool_]
    downsample: float
    fraction: float
    parameters: dict[str, Any]

    def covered(self, x: float, y: float, size: float) -> float:
        """Give the share of a square that is tissue.

        Parameters
        ----------
        x, y : float
            Level-0 pixels of its top-left corner.
        size : float
            Its side in level-0 pixels.

        Returns
        -------
        float
            0 to 1; outside of the slide there is no tissue.
        """
        return float(self.covered_many([(x, y)], size)[0])

    def covered_many(self, xy: ArrayLike, size: float) -> NDArray[np.float64]:
        """Give the share of each of many squares that is tissue.

        Parameters
        ----------
        xy : array_like, shape (N, 2)
            Level-0 ``(x, y)`` of their top-left corners.
        size : float
            Their side in level-0 pixels.

        Returns
        -------
        float64 array, shape (N,)
        """
        corners = np.asarray(xy, np.float64).reshape(-1, 2) / self.downsample
        side = size / self.downsample
        left, top = corners[:, 0], corners[:, 1]
        area = (
            self._sum_to(left + side, top + side)
            - self._sum_to(left, top + side)
            - self._sum_to(left + side, top)
            + self._sum_to(left, top)
        )
        return np.clip(area / side**2, 0.0, 1.0)

    @cached_property
    def _integral(self) -> NDArray[np.float64]:
        """Sum of the mask above and left of each pixel corner."""
        total = np.zeros((self.mask.shape[0] + 1, self.mask.shape[1] + 1))
        total[1:, 1:] = self.mask.cumsum(0, dtype=np.float64).cumsum(1)
        return total

    def _sum_to(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Sum the mask from its origin to fractional ``(x, y)``, exactly."""
        rows, columns = self.mask.shape
        x, y = np.clip(x, 0, columns), np.clip(y, 0, rows)
        j = np.minimum(x.astype(np.intp), columns - 1)
        i = np.minimum(y.astype(np.intp), rows - 1)
        u, v = x - j, y - i
        total = self._integral
        return (  # type: ignore[no-any-return]
            total[i, j] * (1 - u) * (1 - v)
            + total[i, j + 1] * u * (1 - v)
            + total[i + 1, j] * (1 - u) * v
            + total[i + 1, j + 1] * u * v
        )


def tissue_mask(slide: Slide) -> TissueMask:
    """Find the tissue of a bright-field slide.

    Both stains of H&E, and DAB, take away green before red or blue. So tissue is where
    ``max(red, blue) - green``, a little blurred, exceeds a threshold (Otsu's, within
    limits). Glass takes away nothing or all three alike, and green or teal ink takes
    away red. Specks go, small holes are filled.

    Parameters
    ----------
    slide : Slide
        Read at about 4 um a pixel (8 level-0 pixels where its mpp is not known).

    Returns
    -------
    TissueMask

    Raises
    ------
    SlideError
        Where the slide cannot be read, or has no level coarse enough for an overview.
    """
    from scipy import ndimage

    width, height = slide.dimensions
    nominal = _PIXEL_LEVEL0 if slide.mpp is None else _PIXEL_UM / slide.mpp
    step = max(1.0, nominal, max(width, height) / _MAX_SIDE)
    sampling = overview_sampling(slide.reader, step, name=slide.path.name)
    if sampling.factor > 1:
        # Which pixels a mask has must not depend on how a machine decodes tiles.
        sampling = replace(sampling, downsample=step)
    step = sampling.downsample
    green_loss = _green_loss(slide, sampling)
    smooth = ndimage.gaussian_filter(green_loss, _SIGMA, mode="nearest")
    otsu = _otsu(smooth)
    threshold = float(np.clip(otsu, *_THRESHOLDS))
    mask = smooth > threshold
    # Where the mask is coarser than nominal a pixel stands for more.
    shrink = (nominal / step) ** 2
    speck = max(1, round(_SPECK_PIXELS * shrink))
    hole = max(1, round(_HOLE_PIXELS * shrink))
    # On a slide of few pixels even a small piece is not dirt, nor all the glass a hole.
    speck, hole = min(speck, mask.size // 20), min(hole, mask.size // 20)
    mask = ~_without_small(~_without_small(mask, speck), hole)
    inside = (width / step) * (height / step)
    return TissueMask(
        mask=mask,
        downsample=step,
        fraction=float(min(1.0, mask.sum() / inside)),
        parameters={
            "method": "green-loss-otsu",
            "version": 1,
            "downsample": step,
            "sigma_px": _SIGMA,
            "otsu": round(otsu, 3),
            "threshold": round(threshold, 3),
            "threshold_limits": list(_THRESHOLDS),
            "speck_px": speck,
            "hole_px": hole,
        },
    )


def _green_loss(slide: Slide, sampling: Sampling) -> NDArray[np.float32]:
    """Read ``max(red, blue) - green`` of the whole slide, 0 to 255."""
    width, height = slide.dimensions
    step = sampling.downsample
    columns, rows = math.ceil(width / step), math.ceil(height / step)
    pixels = read_sampled(slide.reader, 0, 0, columns, rows, sampling, BOX)
    signed = pixels.astype(np.int16)
    loss = np.maximum(signed[..., 0], signed[..., 2]) - signed[..., 1]
    return np.maximum(loss, 0).astype(np.float32)


def _otsu(values: NDArray[np.float32]) -> float:
    """Find the threshold (0 to 255) that parts values into the two tightest classes."""
    # scikit-image has it too, and takes a second to import.
    counts, edges = np.histogram(values, bins=256, range=(0.0, 255.0))
    centres = (edges[:-1] + edges[1:]) / 2
    below = counts.cumsum()
    above = below[-1] - below
    weighted = (counts * centres).cumsum()
    mean_below = weighted / np.maximum(below, 1)
    mean_above = (weighted[-1] - weighted) / np.maximum(above, 1)
    between = below * above * (mean_below - mean_above) ** 2.0
    return float(centres[between.argmax()])


def _without_small(mask: NDArray[np.bool_], pixels: int) -> NDArray[np.bool_]:
    """Take away the connected parts that have fewer than `pixels` pixels."""
    from scipy import ndimage

    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    keep = sizes >= pixels
    keep[0] = False
    return keep[labels]  # type: ignore[no-any-return]
