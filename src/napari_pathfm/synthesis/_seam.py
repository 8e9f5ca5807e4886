"""Made pixels put among real ones, of which none changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Pixels over which a difference along the edge fades inside the mask.
FEATHER = 6
# Of the colours around that the autoencoder shifts, and of the edge itself, in pixels.
_COLOUR, _EDGE = 16.0, 1.0
# How far from the edge its neighbourhood reaches, in pixels.
_NEAR = 8
_SCALES = (2, 4, 8, 16, 32, 64)


def filled(real: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Give the pixels with the mask painted over, in the colours around it.

    So that what is to go does not reach the latents beside it.
    """
    from scipy import ndimage

    known = (~mask).astype(np.float32)
    plain, left = real.copy(), mask.copy()
    for sigma in _SCALES:
        weight = ndimage.gaussian_filter(known, sigma)
        near = left & (weight > 0.05)
        colours = _blurred(real.astype(np.float32), known, sigma)
        plain[near] = np.rint(colours[near].clip(0, 255)).astype(np.uint8)
        left &= ~near
    plain[left] = np.rint(real[~mask].mean(0)).astype(np.uint8)
    return plain


def composite(
    real: NDArray[np.uint8],
    made: NDArray[np.uint8],
    mask: NDArray[np.bool_],
    feather: int = FEATHER,
) -> NDArray[np.uint8]:
    """Put made pixels in the mask; all others stay as they are, bit for bit.

    Inside the mask, made pixels are shifted by what real and made ones differ by on its
    other side: all by the average in the neighbourhood, for an autoencoder changes
    colours, and those along the edge by what is left there, less with each pixel from
    the edge. What lay under the mask has no part in it.

    Parameters
    ----------
    real, made : ndarray
        uint8 ``(h, w, 3)``.
    mask : ndarray
        bool ``(h, w)``: what is replaced.
    feather : int
        Pixels until the shift along the edge has faded; 0 puts made pixels as they are.
    """
    from scipy import ndimage

    out = real.copy()
    if not feather or mask.all():
        out[mask] = made[mask]
        return out
    known = (~mask).astype(np.float32)
    difference = real.astype(np.float32) - made
    shift = _blurred(difference, known, _COLOUR)
    from_edge = ndimage.distance_transform_edt(mask).astype(np.float32) - 0.5
    fade = np.clip(1 - from_edge / feather, 0, 1)[..., None]
    shift += fade * _blurred(difference - shift, known, _EDGE)
    out[mask] = np.rint((made + shift)[mask].clip(0, 255)).astype(np.uint8)
    return out


def edge_step(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> float:
    """Say how much more two neighbours differ across a mask's edge than near it.

    Returns
    -------
    float
        Mean difference of the neighbours of which one is masked, over that of those
        on one side within `_NEAR` pixels of the edge; 1 where no edge can be seen, 0
        where there is no edge, or nothing to compare it with.
    """
    from scipy import ndimage

    inside = ndimage.distance_transform_edt(mask)
    outside = ndimage.distance_transform_edt(~mask)
    near = np.maximum(inside, outside) <= _NEAR
    values = pixels.astype(np.float32)
    across, along = [], []
    for axis in (0, 1):
        differences = np.abs(np.diff(values, axis=axis)).mean(-1)
        one, two = (np.delete(mask, end, axis) for end in (-1, 0))
        close = np.delete(near, -1, axis) & np.delete(near, 0, axis)
        across.append(differences[one != two])
        along.append(differences[(one == two) & close])
    edge, rest = np.concatenate(across), np.concatenate(along)
    if not edge.size or not rest.size or not rest.any():
        return 0.0
    return round(float(edge.mean() / rest.mean()), 4)


def border_step(
    pixels: NDArray[np.uint8],
    rows: list[int],
    columns: list[int],
    cell: int = 1,
) -> float:
    """Say how much more neighbours differ across tiles' borders than elsewhere.

    Borders lie between latent cells, and both the JPEG blocks of a real slide and what
    a decoder makes of a cell repeat with the cells. Compared with other edges of cells,
    what is left is the border's own.

    Parameters
    ----------
    pixels : ndarray
        uint8 ``(h, w, 3)``.
    rows, columns : list of int
        Where tiles begin or end: between this row and the one before it.
    cell : int
        Elsewhere is at other multiples of this; 1 is everywhere.

    Returns
    -------
    float
        Mean difference across borders over that elsewhere: 1 where no border shows; 0
        where there is none, or nothing to compare it with.
    """
    across, elsewhere = [], []
    for axis, borders in ((0, rows), (1, columns)):
        steps = np.empty(pixels.shape[axis] - 1)
        for i in range(len(steps)):
            one, two = pixels.take((i, i + 1), axis).swapaxes(0, axis).astype(np.int16)
            steps[i] = np.abs(two - one).mean()
        places = np.arange(1, len(steps) + 1)
        at = np.isin(places, borders)
        other = ~at & (places % cell == 0)
        # As many neighbours in each row or column: means of means are means.
        width = pixels.shape[1 - axis]
        across.append((steps[at].sum() * width, at.sum() * width))
        elsewhere.append((steps[other].sum() * width, other.sum() * width))
    (edge, edges), (rest, rests) = np.sum(across, 0), np.sum(elsewhere, 0)
    if not edges or not rest:
        return 0.0
    return round(float(edge / edges / (rest / rests)), 4)


def _blurred(
    values: NDArray[np.float32], known: NDArray[np.float32], sigma: float
) -> NDArray[np.float32]:
    """Average what is known in the neighbourhood; towards 0 where nothing is."""
    from scipy import ndimage

    weight = ndimage.gaussian_filter(known, sigma)[..., None]
    total = ndimage.gaussian_filter(values * known[..., None], (sigma, sigma, 0))
    mean: NDArray[np.float32] = total / np.maximum(weight, 1e-3)
    return mean
