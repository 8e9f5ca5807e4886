"""What becomes of colours on the way from a file to RGB."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    #: Changes the colours of uint8 ``(h, w, 3)``; safe to call from many threads.
    ToSrgb = Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


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


def to_srgb(profile: bytes, *, name: str) -> ToSrgb:
    """Build the transform from a slide's ICC profile to sRGB.

    It has the profile's own rendering intent, as OpenSlide's documentation advises.

    Parameters
    ----------
    profile : bytes
        An ICC profile of RGB.
    name : str
        The file's, for the message.

    Raises
    ------
    SlideError
        It is damaged, or not of RGB.
    """
    from PIL import Image, ImageCms

    try:
        own = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(
            own,
            ImageCms.createProfile("sRGB"),
            "RGB",
            "RGB",
            renderingIntent=ImageCms.Intent(ImageCms.getDefaultIntent(own)),
            # With a cache of the last pixel one transform is for one thread at a time.
            flags=ImageCms.Flags.NOCACHE,
        )
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        raise SlideError(
            f"{name}: its colour profile cannot be applied ({error}): open it without"
        ) from error

    def apply(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        if not pixels.size:
            return pixels
        image = Image.fromarray(np.ascontiguousarray(pixels))
        changed = ImageCms.applyTransform(image, transform)
        assert changed is not None  # it is None where an image is changed in place
        return np.asarray(changed)

    return apply
