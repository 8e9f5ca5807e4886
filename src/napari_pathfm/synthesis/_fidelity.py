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
    """CLS of synthetic images, float32 ``(N, D)``, resized to the encoder's tile."""
    from PIL import Image

    size = (encoder.spec.tile_px, encoder.spec.tile_px)
    seen = np.stack(
        [
            np.asarray(Image.fromarray(i.pixels).resize(size, Image.Resampling.BICUBIC))
            if i.pixels.shape[:2] != size
            else i.pixels
            for i in images
        ]
    )
    return encoder.encode(seen).cls


def cosine(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Cosine of two vectors, rounded to four places; 0 where one has no length."""
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return round(float(a @ b) / max(norms, 1e-12), 4)
