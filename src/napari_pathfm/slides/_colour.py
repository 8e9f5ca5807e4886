"""What becomes of colours on the way from a file to RGB."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def composite_on_white(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Composite straight-alpha RGBA ``(h, w, 4)`` on white, rounded to nearest."""
    alpha = rgba[..., 3:].astype(np.uint32)
    mixed = rgba[..., :3] * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def ycbcr_to_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert full-range YCbCr (ITU-R BT.601, as JFIF has it); ``(h, w, 3)``."""
    from PIL import Image

    image = Image.frombuffer(
        "YCbCr",
        (pixels.shape[1], pixels.shape[0]),
        np.ascontiguousarray(pixels, np.uint8),
        "raw",
        "YCbCr",
        0,
        1,
    )
    return np.array(image.convert("RGB"))
