"""Plain pictures: a PNG or JPEG of a field, decoded once and held in memory."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._colour import composite_on_white
from napari_pathfm.slides._levels import BackendName, Level, position

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._tiles import TiffTiles

#: The most pixels of a picture: 300 MB of RGB.
MAX_PICTURE_PIXELS = 100_000_000

_HEADS = {b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"}


def picture_kind(head: bytes) -> str | None:
    """Tell by a file's first bytes whether it is a ``PNG`` or ``JPEG``."""
    return next((k for start, k in _HEADS.items() if head.startswith(start)), None)


class PictureBackend:
    """One picture, as one level; what it may say of its pixel size is not believed.

    Parameters
    ----------
    path : Path
        The file.
    kind : str
        ``PNG`` or ``JPEG``.

    Raises
    ------
    SlideError
        It is damaged, too large, or neither RGB, RGBA nor a palette of these.
    """

    name: BackendName = "picture"
    tiles: TiffTiles | None = None

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._pixels: NDArray[np.uint8] | None
        self._pixels, self.icc_profile = self._decode(kind)
        height, width = self._pixels.shape[:2]
        self.vendor = kind.lower()
        self.levels: tuple[Level, ...] = (Level(width, height, 1.0),)
        self.tile_sizes: tuple[tuple[int, int], ...] = ((256, 256),)
        self.mpp: tuple[float, float] | None = None
        self.objective: float | None = None
        self.associated: tuple[str, ...] = ()
        self.reading = "a plain picture, decoded as a whole"

    def _decode(self, kind: str) -> tuple[NDArray[np.uint8], bytes | None]:
        from PIL import Image, UnidentifiedImageError

        name = self._path.name
        try:
            # Pillow warns of pictures that could be bombs; ours has a limit of its own.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
                image = Image.open(self._path, formats=[kind])
            with image:
                pixels = image.width * image.height
                if pixels > MAX_PICTURE_PIXELS:
                    raise SlideError(
                        f"{name} is a {kind} picture of {pixels / 1e6:.0f} megapixels; "
                        f"over {MAX_PICTURE_PIXELS / 1e6:.0f} it must be a pyramid: "
                        "convert it, for example with vips tiffsave --tile --pyramid"
                    )
                if image.mode not in ("RGB", "RGBA", "P"):
                    raise SlideError(
                        f"{name} is a {kind} picture with {image.mode} colours; only "
                        "8-bit RGB is supported: convert it to RGB"
                    )
                profile = image.info.get("icc_profile")
                rgba = np.asarray(image.convert("RGBA"))
        except SlideError:
            raise
        except (
            UnidentifiedImageError,
            Image.DecompressionBombError,
            OSError,
            SyntaxError,
            ValueError,
        ) as error:
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SlideError(
                f"{name} is a {kind} picture that cannot be read ({reason}): copy it "
                "again from its source"
            ) from error
        return composite_on_white(rgba), profile

    def use_profile(self, apply: ToSrgb) -> None:
        """Give all colours by a transform from now on."""
        assert self._pixels is not None
        self._pixels = apply(self._pixels)

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read from ``(x, y)``; white outside."""
        pixels = self._pixels
        if pixels is None:
            raise SlideError(f"{self._path.name} is closed: open it again")
        result = np.full((height, width, 3), 255, np.uint8)
        column, row = int(position(x, 1.0)), int(position(y, 1.0))
        left, right = max(column, 0), min(column + width, pixels.shape[1])
        upper, lower = max(row, 0), min(row + height, pixels.shape[0])
        if left < right and upper < lower:
            place = result[upper - row : lower - row, left - column : right - column]
            place[:] = pixels[upper:lower, left:right]
        return result

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Raise `KeyError`: a picture has none."""
        raise KeyError(name)

    def close(self) -> None:
        """Let the pixels go."""
        self._pixels = None
