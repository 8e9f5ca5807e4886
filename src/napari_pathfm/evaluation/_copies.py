"""Whether a generated tile is a copy of a real one: by embedding, and by pixels.

A tile is suspect where it is nearer to a real tile than real tiles that are known to be
no copies ever are. All eight flips and quarter turns are tried, and by pixels also
crops, down to 70 % of the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.evaluation._codec import jpeg
from napari_pathfm.evaluation._correlation import (
    COARSE,
    FINE,
    closest,
    orientations,
    thumbnail,
    unit,
)
from napari_pathfm.evaluation._tiles import encode_tiles, fit

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder

# Standard deviation (of 0..1) below which a tile is blank.
_BLANK = 0.03

# Share of known originals beyond which closeness is unusual.
_QUANTILE = 0.99


@dataclass(frozen=True)
class Closeness:
    """How near tiles are to the nearest of a gallery; 1 is the same.

    Attributes
    ----------
    embedding, pixels : ndarray
        ``(N,)``: highest cosine of centred embeddings, and highest correlation of
        texture.
    nearest : ndarray
        int ``(N,)``: which of the gallery is nearest by pixels.
    """

    embedding: NDArray[np.float64]
    pixels: NDArray[np.float64]
    nearest: NDArray[np.int64]


@dataclass(frozen=True)
class Threshold:
    """From which closeness on a tile counts as a copy.

    Attributes
    ----------
    embedding : float or None
        None where the encoder is not asked.
    pixels : float
        Of texture.
    """

    embedding: float | None
    pixels: float

    def flags(self, closeness: Closeness) -> NDArray[np.bool_]:
        """Tell which tiles are suspect: bool ``(N,)``."""
        flagged = closeness.pixels > self.pixels
        if self.embedding is not None:
            flagged = flagged | (closeness.embedding > self.embedding)
        return np.asarray(flagged)

    @classmethod
    def of(cls, originals: Closeness, *, texture_alone: bool = False) -> Threshold:
        """Learn both from tiles that are no copies, or that of texture alone.

        An encoder that conditioned a generator is no judge of its tiles: the better
        they follow, the nearer they are to the tile that they were conditioned on.
        """
        by_embedding = None if texture_alone else threshold(originals.embedding)
        return cls(by_embedding, threshold(originals.pixels))


def threshold(originals: NDArray[np.float64]) -> float:
    """Halfway from where 99 % of known originals lie, ``(n,)``, to a perfect copy.

    Our choice: it leaves room on both sides with few originals to learn from.
    """
    return (float(np.quantile(originals, _QUANTILE)) + 1) / 2


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
        coarse: list[NDArray[np.uint8]] = []
        fine: list[NDArray[np.uint8]] = []

        def seen() -> Iterator[NDArray[np.uint8]]:
            for tile in tiles:
                coarse.append(thumbnail(tile, COARSE))
                fine.append(thumbnail(tile, FINE))
                yield fit(tile, encoder.spec.tile_px)

        features = encode_tiles(seen(), encoder)
        self._centre = features.mean(0)
        self._features = _normed(features - self._centre)
        self._coarse, self._fine = np.stack(coarse), np.stack(fine)

    def __len__(self) -> int:
        return len(self._coarse)

    def closeness(self, tiles: Sequence[NDArray[np.uint8]]) -> Closeness:
        """Find how near each tile comes to any of the gallery."""
        px = self._encoder.spec.tile_px
        turned = [view for tile in tiles for view in orientations(fit(tile, px))]
        features = _normed(encode_tiles(turned, self._encoder) - self._centre)
        cosine = (features @ self._features.T).reshape(len(tiles), 8, -1)
        square = np.stack([fit(tile, px) for tile in tiles])
        pixels, nearest = closest(square, self._coarse, self._fine)
        return Closeness(cosine.max((1, 2)).astype(np.float64), pixels, nearest)


def is_blank(tile: NDArray[np.uint8]) -> bool:
    """Tell whether a tile has so little in it that nobody could say what it is of."""
    return bool(unit(thumbnail(tile, COARSE)).std() <= _BLANK)


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


def _normed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(features, axis=1, keepdims=True)
    unit: NDArray[np.float32] = features / np.maximum(norms, 1e-12)
    return unit
