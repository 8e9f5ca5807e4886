"""How large a compressed picture says it is, read from its first bytes."""

from __future__ import annotations

import struct

# JPEG 2000: start of codestream, then SIZ (ISO/IEC 15444-1, A.5.1).
_J2K = b"\xff\x4f\xff\x51"
_JP2 = b"\0\0\0\x0cjP  "

# JPEG markers that state the size (ITU-T T.81, B.2.2): all SOF, but not DHT, JPG, DAC.
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_NO_LENGTH = frozenset((0x01, *range(0xD0, 0xD9)))

# Slides have three components, or four with opacity.
_MAX_COMPONENTS = 4


def size_of(data: bytes) -> tuple[int, int] | None:
    """Give ``(width, height)`` of a JPEG or JPEG 2000; None for anything else.

    Raises
    ------
    ValueError
        It says what no tile of a slide can be.
    """
    try:
        if data.startswith(_J2K):
            return _j2k(data, 0)
        if data.startswith(_JP2):
            start = data.find(_J2K)
            return None if start < 0 else _j2k(data, start)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
    except struct.error:
        raise ValueError("the tile ends in its header") from None
    return None


def _j2k(data: bytes, start: int) -> tuple[int, int]:
    right, lower, left, upper = struct.unpack_from(">4I", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    if components > _MAX_COMPONENTS:
        raise ValueError(f"the tile has {components} components")
    return right - left, lower - upper


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while True:
        marker, kind, length = struct.unpack_from(">BBH", data, at)
        if marker != 0xFF:
            raise ValueError("the tile is no JPEG")
        if kind in _SOF:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        if kind == 0xDA or kind == 0xD9:  # a scan, the end: no size
            return None
        at += 1 if kind == 0xFF else 2 if kind in _NO_LENGTH else 2 + length
