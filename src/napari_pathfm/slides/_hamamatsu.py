"""Check that the files of a Hamamatsu VMS or VMU slide are whole and fit together.

OpenSlide ends the whole program where a JPEG in the last column or row is larger than
the first, as when a file has been exchanged for another slide's, and where a VMU's
samples are not of the one kind that it knows. A file that is cut short it notices only
when somebody pans into what is missing.
"""

from __future__ import annotations

import os
import re
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# OpenSlide reads no key file that is larger.
_MAX_BYTES = 64 * 1024

_JPEGS = "[Virtual Microscope Specimen]"
_SAMPLES = "[Uncompressed Virtual Microscope Specimen]"
_COUNT = re.compile(r"^\s*NoJpeg(Columns|Rows)\s*=\s*(\d{1,9})\s*$", re.MULTILINE)
_IMAGE = re.compile(
    r"^\s*(?:ImageFile(\([\d,\s]*\))?|(MapFile))\s*=\s*(\S.*?)\s*$", re.MULTILINE
)

_FILE = re.compile(
    r"^\s*(?:ImageFile(?:\([\d,\s]*\))?|MapFile|MacroImage|OptimisationFile)"
    r"\s*=\s*(\S.*?)\s*$",
    re.MULTILINE,
)

# What a VMU must say of its samples.
_KIND = {"BitsPerPixel": "36", "PixelOrder": "RGB"}

# The markers after which a JPEG says its size.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_END_OF_IMAGE = b"\xff\xd9"

# Three samples of two bytes.
_PIXEL_BYTES = 6


def key_file_problem(path: Path) -> str | None:
    """Say which file of a slide is cut short or cannot belong to it, or None.

    Parameters
    ----------
    path : Path
        A readable regular file. One that is no VMS or VMU key file has no problem, and
        what OpenSlide sees itself when it opens the slide is left to it.

    Returns
    -------
    str or None
        A clause without a subject, fit for an error message.
    """
    text = _key_text(path)
    if text is None:
        return None
    if _JPEGS not in text:
        for key, wanted in _KIND.items():
            found = re.findall(rf"^\s*{key}\s*=\s*(.*?)\s*$", text, re.MULTILINE)
            if not found or any(value != wanted for value in found):
                return (
                    f"is damaged, or of a kind that cannot be read: it does not say "
                    f"{key}={wanted}"
                )
    files = [path.parent / name for *_, name in _IMAGE.findall(text)]
    check = _jpeg_problem if _JPEGS in text else _samples_problem
    problem = next((one for one in map(check, files) if one is not None), None)
    if problem is None and _JPEGS in text:
        return _misfit(path.parent, text)
    return problem


def key_file_parts(path: Path) -> list[Path]:
    """List the files that a VMS or VMU key file names and that are there."""
    text = _key_text(path) or ""
    files = {path.parent / name for name in _FILE.findall(text)}
    return sorted(file for file in files if file.is_file())


def _key_text(path: Path) -> str | None:
    with path.open("rb") as file:
        text = file.read(_MAX_BYTES).decode("latin-1")
    return text if _JPEGS in text or _SAMPLES in text else None


def _jpeg_problem(path: Path) -> str | None:
    """Say whether a JPEG lacks its end."""
    try:
        with path.open("rb") as file:
            if file.seek(0, os.SEEK_END) < 2:
                return None
            file.seek(-2, os.SEEK_END)
            cut = file.read(2) != _END_OF_IMAGE
    except OSError:
        return None
    return f"is truncated: its file {path.name} has no end" if cut else None


def _samples_problem(path: Path) -> str | None:
    """Say whether bare samples are fewer than their head says."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(28)
    except OSError:
        return None
    if len(head) < 28:
        return None
    width, height, *_, start = struct.unpack("<6I", head[4:])
    need = start + width * height * _PIXEL_BYTES
    if need <= size:
        return None
    return f"is truncated: its file {path.name} should have {need} bytes and has {size}"


def _misfit(folder: Path, text: str) -> str | None:
    """Say which JPEG is larger than its place."""
    counts = {name: int(count) for name, count in _COUNT.findall(text)}
    sizes = {
        place: size
        for places, is_map, name in _IMAGE.findall(text)
        if not is_map
        and (place := _place(places)) is not None
        and (size := _size(folder / name)) is not None
    }
    first = sizes.get((0, 0))
    if first is None:
        return None
    for (column, row), (width, height) in sorted(sizes.items()):
        last = column == counts.get("Columns", 0) - 1, row == counts.get("Rows", 0) - 1
        if (last[0] and width > first[0]) or (last[1] and height > first[1]):
            return (
                f"is damaged: its picture ({column},{row}) is {width} x {height} px, "
                f"and its first {first[0]} x {first[1]} px"
            )
    return None


def _place(places: str) -> tuple[int, int] | None:
    """Read ``(column, row)``, or None in another layer than the first."""
    numbers = [int(n) for n in re.findall(r"\d+", places)]
    layer = numbers[0] if len(numbers) in (1, 3) else 0
    column, row = numbers[-2:] if len(numbers) > 1 else (0, 0)
    return (column, row) if layer == 0 else None


def _size(path: Path) -> tuple[int, int] | None:
    """Read a JPEG's size from its head; None where it has none to be read.

    By hand: these are larger than Pillow takes for a picture that means well.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"\xff\xd8":
                return None
            while len(head := file.read(4)) == 4 and head[0] == 0xFF:
                if head[1] in _FRAMES:
                    height, width = struct.unpack(">xHH", file.read(5))
                    return width, height
                file.seek(int.from_bytes(head[2:], "big") - 2, os.SEEK_CUR)
    except (OSError, struct.error):
        return None
    return None
