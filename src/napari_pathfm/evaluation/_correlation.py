"""How alike tiles look pixel by pixel: turned, cropped and shifted against each other.

What is compared is texture: pixels without what is coarser than a nucleus. Two pieces
of tissue have the same lumens and edges now and then, and all glass with an edge looks
alike; the same texture they never have. Thumbnails of 32 px say which tiles are worth a
closer look, thumbnails of 96 px how alike they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

#: Sides of the thumbnails, in pixels.
COARSE, FINE = 32, 96
# Sides to which a tile is shrunk before it is looked for in another: down to 70 %.
_COARSE_SIDES = tuple(range(32, 21, -1))
_FINE_SIDES = tuple(range(96, 66, -2))

# What is coarser than this is left out: standard deviation of a Gaussian, in pixels of
# the thumbnails (10 and 7 px of 224).
_COARSE_TEXTURE, _FINE_TEXTURE = 1.5, 3.0

# Standard deviation of texture (of 0..1) below which a window is blank and matches
# nothing.
_COARSE_BLANK, _FINE_BLANK = 0.008, 0.003

# Tiles that get a closer look.
_CANDIDATES = 8

# Thumbnails of the gallery convolved at a time.
_CHUNK = 64


def orientations(tile: NDArray[Any]) -> list[NDArray[Any]]:
    """The eight flips and quarter turns of ``(h, w, ...)``."""
    turned = [np.rot90(tile, k) for k in range(4)]
    return turned + [view[:, ::-1] for view in turned]


def thumbnail(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Give the grey tile, uint8 ``(side, side)``, by area means."""
    from PIL import Image

    grey = Image.fromarray(tile).convert("L")
    return np.asarray(grey.resize((side, side), Image.Resampling.BOX))


def unit(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Give thumbnails as float32 in 0..1."""
    return thumbnails.astype(np.float32) / np.float32(255)


def coarse_correlations(
    queries: NDArray[np.float32], gallery: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Correlate thumbnails with every place of others, at several sizes.

    Parameters
    ----------
    queries : ndarray
        float32 ``(Q, V, 32, 32)``: views of each query.
    gallery : ndarray
        float32 ``(N, 32, 32)``.

    Returns
    -------
    ndarray
        float64 ``(Q, N)``: the highest Pearson correlation over views, sizes and
        places, 0 where either side is blank.
    """
    import torch
    import torch.nn.functional as F

    number, views = queries.shape[:2]
    best = np.zeros((number, len(gallery)))
    images = torch.from_numpy(np.ascontiguousarray(gallery))[:, None]
    templates = torch.from_numpy(queries.reshape(-1, 1, COARSE, COARSE))
    for side in _COARSE_SIDES:
        small = F.interpolate(templates, side, mode="bilinear", antialias=True)
        small = small - small.mean((2, 3), keepdim=True)
        length = small.square().sum((2, 3), keepdim=True).sqrt()
        small = torch.where(length > _COARSE_BLANK * side, small / length, 0.0)
        for start in range(0, len(images), _CHUNK):
            part = images[start : start + _CHUNK]
            mean, square = F.avg_pool2d(part, side, 1), F.avg_pool2d(part**2, side, 1)
            spread = (square - mean**2).clamp_min(0).sqrt()
            found = F.conv2d(part, small) / (spread * side).clamp_min(1e-6)
            found = torch.where(spread > _COARSE_BLANK, found, 0.0)
            highest = found.amax((2, 3)).reshape(len(part), number, views).amax(2)
            own = best[:, start : start + _CHUNK]
            np.maximum(own, highest.T.numpy(), out=own)
    return np.minimum(best, 1.0)


def closest(
    queries: NDArray[np.uint8],
    coarse: NDArray[np.uint8],
    fine: NDArray[np.uint8],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the tile of a gallery whose texture is nearest to each query's.

    Parameters
    ----------
    queries : ndarray
        uint8 ``(Q, px, px, 3)``.
    coarse, fine : ndarray
        The gallery's thumbnails, uint8 ``(N, 32, 32)`` and ``(N, 96, 96)``.

    Returns
    -------
    correlation : ndarray
        float64 ``(Q,)``, over views, sizes and places, of the few tiles that look most
        alike from afar.
    nearest : ndarray
        int64 ``(Q,)``: which one it was.
    """
    alike = coarse_correlations(
        np.stack(
            [orientations(_coarse_texture(thumbnail(q, COARSE))) for q in queries]
        ),
        np.stack([_coarse_texture(thumb) for thumb in coarse]),
    )
    best, nearest = np.zeros(len(queries)), alike.argmax(1)
    for row, query in enumerate(queries):
        templates = _templates(query)
        for candidate in np.argsort(-alike[row], kind="stable")[:_CANDIDATES]:
            found = _fine_correlation(templates, fine[candidate])
            if found > best[row]:
                best[row], nearest[row] = found, candidate
    return best, nearest


def closest_texture(
    queries: Sequence[NDArray[np.uint8]], tiles: Sequence[NDArray[np.uint8]]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Find the tile whose texture is nearest to each query's; see `closest`.

    Parameters
    ----------
    queries, tiles : sequence of ndarray
        uint8 ``(px, px, 3)`` each.
    """
    coarse = np.stack([thumbnail(tile, COARSE) for tile in tiles])
    fine = np.stack([thumbnail(tile, FINE) for tile in tiles])
    return closest(np.stack(queries), coarse, fine)


def _templates(tile: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
    """Texture of a tile in every view, of unit length, ``(8, side, side)`` a size."""
    found = []
    for side in _FINE_SIDES:
        small = _texture(unit(thumbnail(tile, side)), _FINE_TEXTURE)
        small -= small.mean()
        length = np.sqrt(np.square(small).sum())
        blank = length <= _FINE_BLANK * side
        small = np.zeros_like(small) if blank else small / length
        found.append(np.stack(orientations(small)))
    return found


def _fine_correlation(
    templates: list[NDArray[np.float32]], thumb: NDArray[np.uint8]
) -> float:
    """Give the highest correlation of any template with any place of a thumbnail."""
    import torch
    import torch.nn.functional as F

    image = torch.from_numpy(_texture(unit(thumb), _FINE_TEXTURE))[None, None]
    best = 0.0
    for views in templates:
        side = views.shape[-1]
        mean, square = F.avg_pool2d(image, side, 1), F.avg_pool2d(image**2, side, 1)
        spread = (square - mean**2).clamp_min(0).sqrt()
        found = F.conv2d(image, torch.from_numpy(views)[:, None])
        found = found / (spread * side).clamp_min(1e-6)
        found = torch.where(spread > _FINE_BLANK, found, 0.0)
        best = max(best, float(found.max()))
    return min(best, 1.0)


def _coarse_texture(thumb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return _texture(unit(thumb), _COARSE_TEXTURE)


def _texture(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    from scipy import ndimage

    fine: NDArray[np.float32] = image - ndimage.gaussian_filter(
        image, sigma, mode="nearest"
    )
    return fine
