"""How near an image is to what it was made from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import SyntheticImage


def embed_images(
    encoder: Encoder, images: Sequence[SyntheticImage]
) -> NDArray[np.float32]:
    """CLS of synthetic images, float32 ``(N, D)``; see `embed_tiles`."""
    return embed_tiles(encoder, [image.pixels for image in images])


def embed_tiles(
    encoder: Encoder, tiles: Sequence[NDArray[np.uint8]] | NDArray[np.uint8]
) -> NDArray[np.float32]:
    """CLS of tiles ``(h, w, 3)``, float32 ``(N, D)``, resized to the encoder's tile.

    A generator's tile may have another size than its encoder's (PixCell: 256 px for
    the 224 of UNI2-h); bicubic, as the encoders' own transforms have it.
    """
    from PIL import Image

    size = (encoder.spec.tile_px, encoder.spec.tile_px)
    seen = [
        tile
        if tile.shape[:2] == size
        else np.asarray(Image.fromarray(tile).resize(size, Image.Resampling.BICUBIC))
        for tile in tiles
    ]
    return encoder.encode(np.stack(seen)).cls


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine of two vectors, rounded to four places; 0 where one has no length."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return round(float(a @ b) / max(norms, 1e-12), 4)
