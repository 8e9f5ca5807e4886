"""Is a TIFF all there? The offsets that it states, against the length that it has.

OpenSlide opens a truncated slide without complaint and fails when somebody pans into
the part that is missing. Walking the directories takes milliseconds and says so at
once.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_STRIP_OFFSETS, _STRIP_BYTES = 273, 279
_TILE_OFFSETS, _TILE_BYTES = 324, 325
_SUB_IFDS = 330
_BITS, _COMPRESSION, _SAMPLES, _PLANAR = 258, 259, 277, 284
_TILE_WIDTH, _TILE_LENGTH = 322, 323
_SIDES = {256: "width", 257: "height", 322: "tile width", 323: "tile height"}
_WANTED = frozenset(
    (
        _STRIP_OFFSETS,
        _STRIP_BYTES,
        _TILE_OFFSETS,
        _TILE_BYTES,
        _SUB_IFDS,
        _BITS,
        _COMPRESSION,
        _SAMPLES,
        _PLANAR,
        *_SIDES,
    )
)

# The types that offsets and counts may have, as NumPy calls them.
_TYPES = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}

# Bytes of a value by its TIFF type.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}

# Tags from here on are private: what scanners put there does not matter to reading.
_PRIVATE = 32_768

#: One tile is decoded as a whole.
MAX_TILE_PIXELS = 64_000_000

# More directories than any slide has: a loop or nonsense.
_MAX_DIRECTORIES = 10_000
_MAX_ENTRIES = 4_096


class _Damaged(Exception):
    """Why a file cannot be whole."""


def tiff_problem(path: Path) -> str | None:
    """Say what is wrong with a TIFF's structure, or None.

    Parameters
    ----------
    path : Path
        A readable regular file. A file that is no TIFF has no problem.

    Returns
    -------
    str or None
        A clause without a subject ("is truncated: ..."), fit for an error message.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(head[:2])
        if order is None or len(head) < 8:
            return None
        magic = struct.unpack(order + "H", head[2:4])[0]
        if magic == 43 and len(head) == 16:
            layout = _Layout(order, big=True)
            first = struct.unpack(order + "Q", head[8:16])[0]
        elif magic == 42:
            layout = _Layout(order, big=False)
            first = struct.unpack(order + "I", head[4:8])[0]
        else:
            return None
        try:
            if first == 0:
                raise _Damaged("is damaged: it has no directory")
            _walk(file, size, layout, first)
        except _Damaged as error:
            return str(error)
    return None


class _Layout:
    """The field widths of classic TIFF and BigTIFF."""

    def __init__(self, order: str, *, big: bool) -> None:
        self.order = order
        self.count = order + ("Q" if big else "H")
        self.entry = order + ("HHQ" if big else "HHI")
        self.offset = order + ("Q" if big else "I")
        self.inline = 8 if big else 4


def _walk(file: BinaryIO, size: int, layout: _Layout, first: int) -> None:
    """Check every directory that can be reached from the first."""
    # Where chains of directories begin, and the directories that lead there.
    waiting: list[tuple[int, frozenset[int]]] = [(first, frozenset())]
    seen = set[int]()
    while waiting:
        at, above = waiting.pop()
        chain = set(above)
        # Writers list SubIFDs and chain them as well: met before is no circle.
        while at and at not in seen:
            if len(seen) >= _MAX_DIRECTORIES:
                raise _Damaged("is damaged: it has more directories than any slide")
            seen.add(at)
            chain.add(at)
            at, children = _check_directory(file, size, layout, at)
            if children:
                path = frozenset(chain)
                waiting.extend((child, path) for child in children)
        if at in chain:
            raise _Damaged("is damaged: its directories run in a circle")


def _check_directory(
    file: BinaryIO, size: int, layout: _Layout, at: int
) -> tuple[int, list[int]]:
    """Check one directory; where the next is, and where its children are."""
    values, following = _directory(file, size, layout, at)
    if _TILE_OFFSETS in values:
        _check_tiles(values)
    for offsets, counts in (
        (_STRIP_OFFSETS, _STRIP_BYTES),
        (_TILE_OFFSETS, _TILE_BYTES),
    ):
        if offsets in values and counts in values:
            _check_segments(values[offsets], values[counts], size)
    _check_raw_tiles(values)
    return following, values.get(_SUB_IFDS, np.empty(0, np.uint64)).tolist()


def _check_tiles(values: dict[int, NDArray[np.uint64]]) -> None:
    """Check that there are tiles for all of the picture, of a size that tiles have."""
    for tag, name in _SIDES.items():
        if not values.get(tag, np.zeros(1)).any():
            raise _Damaged(f"is damaged: it does not say its {name}")
    if _TILE_BYTES not in values:
        raise _Damaged("is damaged: it does not say how long its tiles are")
    width, height, across, down = (int(values[tag][0]) for tag in _SIDES)
    if across * down > MAX_TILE_PIXELS:
        # OpenSlide ends the program when it cannot have the memory for one.
        raise _Damaged(f"is damaged: no tile is {across} x {down} px large")
    wanted, found = -(-width // across) * -(-height // down), len(values[_TILE_OFFSETS])
    if found < wanted:
        raise _Damaged(f"is damaged: it lists {found} tiles and should have {wanted}")


def _directory(
    file: BinaryIO, size: int, layout: _Layout, at: int
) -> tuple[dict[int, NDArray[np.uint64]], int]:
    """Read the offsets and byte counts of one directory, and where the next one is."""
    entries = struct.unpack(layout.count, _bytes(file, size, at, layout.count))[0]
    if entries == 0:
        raise _Damaged("is damaged: it has an empty directory")
    if entries > _MAX_ENTRIES:
        raise _Damaged("is damaged: it has a directory of impossible length")
    values: dict[int, NDArray[np.uint64]] = {}
    where = at + struct.calcsize(layout.count)
    step = struct.calcsize(layout.entry) + layout.inline
    for _ in range(entries):
        tag, kind, count = struct.unpack(
            layout.entry, _bytes(file, size, where, layout.entry)
        )
        if tag in _WANTED and kind not in _TYPES:
            raise _Damaged(f"is damaged: its tag {tag} is no whole number")
        if tag < _PRIVATE and kind in _SIZES:
            data = where + struct.calcsize(layout.entry)
            length = count * _SIZES[kind]
            if length > layout.inline:
                data = struct.unpack(
                    layout.offset, _bytes(file, size, data, layout.offset)
                )[0]
            if data + length > size:
                raise _Damaged(_truncated(data + length, size))
            if tag in _WANTED:
                file.seek(data)
                dtype = np.dtype(layout.order + _TYPES[kind])
                values[tag] = np.frombuffer(file.read(length), dtype).astype(np.uint64)
        where += step
    following = struct.unpack(layout.offset, _bytes(file, size, where, layout.offset))[
        0
    ]
    return values, following


def _bytes(file: BinaryIO, size: int, at: int, layout: str) -> bytes:
    """Read one packed field."""
    length = struct.calcsize(layout)
    if at + length > size:
        raise _Damaged(_truncated(at + length, size))
    file.seek(at)
    return file.read(length)


def _check_segments(
    offsets: NDArray[np.uint64], counts: NDArray[np.uint64], size: int
) -> None:
    """Check that every strip or tile ends within the file."""
    if len(offsets) != len(counts):
        raise _Damaged("is damaged: its tile offsets and byte counts do not match")
    # In floating point: a forged count of 2**64 - 1 must not wrap around to a small
    # one.
    ends = offsets.astype(np.float64) + counts.astype(np.float64)
    last = float(np.max(ends, initial=0.0, where=counts > 0))
    if last > size:
        raise _Damaged(_truncated(int(last), size))


def _check_raw_tiles(values: dict[int, NDArray[np.uint64]]) -> None:
    """Check that tiles without compression have all their bytes.

    A decoder that trusts the tag would take what lies behind them for pixels.
    """
    needed = (_COMPRESSION, _TILE_WIDTH, _TILE_LENGTH, _TILE_BYTES, _BITS)
    if not all(tag in values and values[tag].size for tag in needed):
        return
    if values[_COMPRESSION][0] != 1:
        return
    pixels = int(values[_TILE_WIDTH][0]) * int(values[_TILE_LENGTH][0])
    planar = values.get(_PLANAR, np.ones(1, np.uint64))
    chunky = not planar.size or planar[0] != 2
    samples = values.get(_SAMPLES, np.ones(1, np.uint64)) if chunky else np.ones(1)
    need = pixels * int(samples[0]) * int(values[_BITS][0]) // 8
    counts = values[_TILE_BYTES]
    if (counts[counts > 0] < need).any():
        raise _Damaged(
            f"is damaged: it says that its tiles are not compressed, and they are "
            f"shorter than the {need} bytes of one"
        )


def _truncated(need: int, size: int) -> str:
    return f"is truncated: it should have at least {need} bytes and has {size}"
