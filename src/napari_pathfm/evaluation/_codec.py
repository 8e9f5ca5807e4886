"""How the pixels of a file were compressed, for the report."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_TIFFS = {".svs", ".tif", ".tiff", ".ndpi", ".scn", ".bif"}
_LOSSLESS = {"PNG", "BMP", "NONE", "LZW", "DEFLATE", "ADOBE_DEFLATE"}


def codec_of(paths: Iterable[Path]) -> str:
    """Name the codecs of pictures and slides: ``"PNG (lossless)"``, ``"JPEG"``.

    Codec shifts features and distances, so it stands beside every figure. A format
    whose codec is not read here is named by its suffix, and marked so.
    """
    return ", ".join(sorted({_codec(path) for path in paths})) or "unknown"


def tile_codecs(paths: Iterable[Path]) -> set[str]:
    """Name the codecs of pictures so that equal names mean equal compression.

    JPEGs are told apart by their quantisation tables.
    """
    found = set()
    for path in paths:
        tables = _quantisation(path)
        found.add(_words(_picture_codec(path)) + (f" {tables}" if tables else ""))
    return found


def jpeg(tile: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress and decompress uint8 ``(h, w, 3)``, chroma at half resolution."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(tile).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))


def _quantisation(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            tables = getattr(image, "quantization", None)
    except (UnidentifiedImageError, OSError):
        return ""
    return f"(tables {sha256(repr(tables).encode()).hexdigest()[:6]})" if tables else ""


def _codec(path: Path) -> str:
    if path.suffix.lower() in _TIFFS:
        return _words(_tiff_codec(path))
    return _words(_picture_codec(path)) or f"{path.suffix or path.name}: not read"


def _tiff_codec(path: Path) -> str:
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return tifffile.COMPRESSION(file.pages[0].compression).name
    except (tifffile.TiffFileError, OSError, ValueError):
        return f"{path.suffix}: not read"


def _picture_codec(path: Path) -> str:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return image.format or ""
    except (UnidentifiedImageError, OSError):
        return ""


def _words(name: str) -> str:
    return f"{name} (lossless)" if name in _LOSSLESS else name
