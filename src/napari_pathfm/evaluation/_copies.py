"""Whether a generated tile is a copy of a real one: by embedding, and by pixels.

A tile is suspect where it is nearer to a real tile than real tiles that are known to be
no copies ever are. All eight flips and quarter turns are tried, and by pixels also
crops, down to 70 % of the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.evaluation._codec import jpeg
from napari_pathfm.evaluation._tiles import encode_tiles, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder

# Side of the thumbnails that are compared, and of the crops looked for in them.
_THUMB = 32
_CROPS = tuple(range(32, 21, -1))

# Standard deviation (of 0..1) below which a window is blank and matches nothing: glass
# with one edge looks like all other glass with one edge.
_BLANK = 0.03

# Share of known originals beyond which closeness is unusual.
_QUANTILE = 0.99

# Thumbnails of the gallery convolved at a time.
_CHUNK = 64


@dataclass(frozen=True)
class Closeness:
    """How near tiles are to the nearest of a gallery; 1 is the same.

    Attributes
    ----------
    embedding, pixels : ndarray
        ``(N,)``: highest cosine of centred embeddings, and highest correlation.
    nearest : ndarray
        int ``(N,)``: which of the gallery is nearest by pixels.
    """

    embedding: NDArray[np.float64]
    pixels: NDArray[np.float64]
    nearest: NDArray[np.int64]


@dataclass(frozen=True)
class Threshold:
    """From which closeness on a tile counts as a copy."""

    embedding: float
    pixels: float

    def flags(self, closeness: Closeness) -> NDArray[np.bool_]:
        """Tell which tiles are suspect: bool ``(N,)``."""
        by_embedding = closeness.embedding > self.embedding
        return np.asarray(by_embedding | (closeness.pixels > self.pixels))


def threshold(originals: Closeness) -> Threshold:
    """Halfway from where 99 % of known originals lie to a perfect copy.

    Our choice: it leaves room on both sides with few originals to learn from.
    """
    edges = (
        float(np.quantile(values, _QUANTILE))
        for values in (originals.embedding, originals.pixels)
    )
    return Threshold(*((edge + 1) / 2 for edge in edges))


class Gallery:
    """Real tiles to look for copies of.

    Parameters
    ----------
    tiles : iterable of ndarray
        uint8 ``(px, px, 3)`` each; only features and thumbnails of them are kept.
    encoder : Encoder
        What looks.
    """

    def __init__(self, tiles: Iterable[NDArray[np.uint8]], encoder: Encoder) -> None:
        self._encoder = encoder
        thumbs: list[NDArray[np.float32]] = []

        def seen() -> Iterator[NDArray[np.uint8]]:
            for tile in tiles:
                thumbs.append(_thumb(tile))
                yield fit(tile, encoder.spec.tile_px)

        features = encode_tiles(seen(), encoder)
        self._centre = features.mean(0)
        self._features = _unit(features - self._centre)
        self._thumbs = np.stack(thumbs)

    def __len__(self) -> int:
        return len(self._thumbs)

    def closeness(self, tiles: Sequence[NDArray[np.uint8]]) -> Closeness:
        """Find how near each tile comes to any of the gallery."""
        px = self._encoder.spec.tile_px
        turned = [view for tile in tiles for view in orientations(fit(tile, px))]
        features = _unit(encode_tiles(turned, self._encoder) - self._centre)
        cosine = (features @ self._features.T).reshape(len(tiles), 8, -1)
        thumbs = np.stack([orientations(_thumb(tile)) for tile in tiles])
        pixels = correlations(thumbs, self._thumbs)
        return Closeness(
            cosine.max((1, 2)).astype(np.float64), pixels.max(1), pixels.argmax(1)
        )


def is_blank(tile: NDArray[np.uint8]) -> bool:
    """Tell whether a tile has so little in it that nobody could say what it is of."""
    return bool(_thumb(tile).std() <= _BLANK)


def orientations(tile: NDArray[Any]) -> list[NDArray[Any]]:
    """The eight flips and quarter turns of ``(h, w, ...)``."""
    turned = [np.rot90(tile, k) for k in range(4)]
    return turned + [view[:, ::-1] for view in turned]


def correlations(
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
    # About the middle of the range, so that variances lose few digits.
    images = torch.from_numpy(np.ascontiguousarray(gallery))[:, None] - 0.7
    templates = torch.from_numpy(queries.reshape(-1, 1, _THUMB, _THUMB))
    for side in _CROPS:
        small = F.interpolate(templates, side, mode="bilinear", antialias=True)
        small = small - small.mean((2, 3), keepdim=True)
        length = small.square().sum((2, 3), keepdim=True).sqrt()
        small = torch.where(length > _BLANK * side, small / length, 0.0)
        for start in range(0, len(images), _CHUNK):
            part = images[start : start + _CHUNK]
            mean, square = F.avg_pool2d(part, side, 1), F.avg_pool2d(part**2, side, 1)
            spread = (square - mean**2).clamp_min(0).sqrt()
            found = F.conv2d(part, small) / (spread * side).clamp_min(1e-6)
            found = torch.where(spread > _BLANK, found, 0.0)
            highest = found.amax((2, 3)).reshape(len(part), number, views).amax(2)
            own = best[:, start : start + _CHUNK]
            np.maximum(own, highest.T.numpy(), out=own)
    return np.minimum(best, 1.0)


def plants(
    tiles: Sequence[NDArray[np.uint8]], seed: int = 0
) -> dict[str, list[NDArray[np.uint8]]]:
    """Copy tiles in the ways that a copy may be disguised, by name of the way.

    The same; flipped or turned; 85 % of the side cut out anywhere and enlarged; JPEG of
    quality 75; and all of it together.
    """
    rng = np.random.default_rng(seed)

    def turned(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(orientations(tile)[rng.integers(1, 8)])

    def cut(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
        px = len(tile)
        side = round(0.85 * px)
        top, left = rng.integers(0, px - side + 1, 2)
        return fit(np.ascontiguousarray(tile[top : top + side, left : left + side]), px)

    return {
        "the same": list(tiles),
        "flipped or turned": [turned(tile) for tile in tiles],
        "cropped to 85 %": [cut(tile) for tile in tiles],
        "JPEG 75": [jpeg(tile, 75) for tile in tiles],
        "all of it": [jpeg(cut(turned(tile)), 75) for tile in tiles],
    }


def _thumb(tile: NDArray[np.uint8]) -> NDArray[np.float32]:
    from PIL import Image

    grey = Image.fromarray(tile).convert("L")
    small = grey.resize((_THUMB, _THUMB), Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def _unit(features: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: NDArray[np.float32] = features / np.maximum(norms, 1e-12)
    return unit
