"""A corpus of broken slides: one good slide a layout, and everything done to it.

Each case changes one thing. `CASES` says of each what must become of it: ``"refused"``
at open; ``"hurt"``, opens and reports what it cannot read; ``"whole"``, nothing is
lost; ``"strange"``, opens or not, but the file says something else now, so that its
pixels may be others.
"""

from __future__ import annotations

import lzma
import random
import zlib
from typing import TYPE_CHECKING, NamedTuple

import tiff_surgery as tag
from written_slides import APERIO, halves, tissue, write_jpeg, write_ome, write_plain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tiff_surgery import Surgery

    Break = Callable[[Surgery], object]

# A tile in the middle, which no check at open looks at.
TILE = 8


class Case(NamedTuple):
    """What is done to which good slide, and what must come of it."""

    layout: str
    end: str
    do: Break


CASES: dict[str, Case] = {}


def write_good(folder: Path) -> dict[str, Path]:
    """Write the good slides."""
    levels = halves(tissue())
    aperio = APERIO.format(*levels[0].shape)
    return {
        "jpeg": write_jpeg(folder / "jpeg.tif", levels),
        "big": write_plain(
            folder / "big.tif", levels, bigtiff=True, compression="zlib"
        ),
        "ome": write_ome(folder / "ome.ome.tif", levels, compression="zlib"),
        "strips": write_plain(
            folder / "strips.tif",
            levels[:1],
            tile=None,
            rowsperstrip=50,
            compression="lzw",
        ),
        "jpeg strips": write_plain(
            folder / "jpegstrips.tif",
            levels[:1],
            tile=None,
            rowsperstrip=32,
            compression="jpeg",
        ),
        "svs": write_plain(
            folder / "svs.svs", levels, compression=33005, description=aperio
        ),
    }


def _add(name: str, layout: str, end: str, do: Break) -> None:
    assert name not in CASES, name
    CASES[name] = Case(layout, end, do)


def _both(name: str, end: str, do: Break) -> None:
    """A case for files that OpenSlide knows, and for one that it does not."""
    _add(f"{name}, jpeg", "jpeg", end, do)
    _add(f"{name}, ome", "ome", end, do)
    _add(f"{name}, svs", "svs", end, do)


def _set(tag_: int, value: int, index: int = 0, page: int = 0) -> Break:
    return lambda s: s.set(s.pages[page], tag_, value, index)


def _widen(tag_: int, value: int, page: int = 0) -> Break:
    return lambda s: s.widen(s.pages[page], tag_, value)


def _entry(tag_: int, at: int, code: str, value: int) -> Break:
    return lambda s: s.put(s.pages[0].tags[tag_].at + at, code, value)


def _rename(tag_: int) -> Break:
    return lambda s: s.rename(s.pages[0], tag_)


def _fill(byte: int, tile: int = TILE, start: float = 0.0) -> Break:
    def do(s: Surgery) -> None:
        at, length = s.tile(s.pages[0], tile)
        skip = int(length * start)
        s.fill(at + skip, length - skip, byte)

    return do


def _noise(tile: int = TILE, start: float = 0.0) -> Break:
    def do(s: Surgery) -> None:
        at, length = s.tile(s.pages[0], tile)
        skip = int(length * start)
        s.content[at + skip : at + length] = random.Random(0).randbytes(length - skip)

    return do


def _marker(code: int, at: int, packed: str, value: int) -> Break:
    """Change a field behind a marker ``FF code`` of a tile's stream."""

    def do(s: Surgery) -> None:
        start, _ = s.tile(s.pages[0], TILE)
        found = s.content.index(bytes((0xFF, code)), start)
        s.content[found + at : found + at + len(packed)] = b""
        s.content[found + at : found + at] = value.to_bytes(len(packed), "big")

    return do


def _replace(stream: bytes) -> Break:
    """Give a tile another stream, at the end of the file."""

    def do(s: Surgery) -> None:
        page = s.pages[0]
        s.set(page, tag.TILE_OFFSETS, len(s.content), TILE)
        s.set(page, tag.TILE_BYTES, len(stream), TILE)
        s.content += stream

    return do


def _bomb() -> bytes:
    """Half a gigabyte of nothing."""
    packer, piece = zlib.compressobj(1), bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(512)) + packer.flush()


def _zstd_bomb() -> bytes:
    import imagecodecs

    bomb: bytes = imagecodecs.zstd_encode(bytes(2**29))
    return bomb


def _garbage(s: Surgery) -> None:
    s.content[8:] = random.Random(0).randbytes(len(s.content) - 8)


def _offset_of(index: int, what: Callable[[Surgery], int]) -> Break:
    return lambda s: s.set(s.pages[0], tag.TILE_OFFSETS, what(s), index)


def _all(tag_: int, value: int) -> Break:
    def do(s: Surgery) -> None:
        for index in range(s.pages[0].tags[tag_].count):
            s.set(s.pages[0], tag_, value, index)

    return do


def _chain(s: Surgery, page: int, to: int) -> None:
    s.put(s.pages[page].following, s.offset, to)


def _together(*parts: Break) -> Break:
    return lambda s: [part(s) for part in parts]


# The header and the chain of directories.
_add("header of zeros", "jpeg", "refused", lambda s: s.fill(0, 8))
_add("another magic number", "jpeg", "refused", lambda s: s.put(2, "H", 99))
_both("no directory", "refused", lambda s: s.put(4, "I", 0))
_both("first directory past the end", "refused", lambda s: s.put(4, "I", 2**32 - 9))
_both("first directory in the header", "refused", lambda s: s.put(4, "I", 3))
_add("offsets of another width", "big", "refused", lambda s: s.put(4, "H", 4))
_both("first directory of zeros", "refused", lambda s: s.fill(s.pages[0].at, 90))
_both("65535 tags", "refused", lambda s: s.put(s.pages[0].at, "H", 65_535))
_both("only zeros", "refused", lambda s: s.fill(8, len(s.content)))
_both("only noise", "refused", _garbage)
_add(
    "directory that follows itself",
    "jpeg",
    "refused",
    lambda s: _chain(s, 0, s.pages[0].at),
)
_add(
    "last directory leads back",
    "jpeg",
    "refused",
    lambda s: _chain(s, 2, s.pages[0].at),
)
_add(
    "next directory in a tile",
    "jpeg",
    "refused",
    lambda s: _chain(s, 0, s.tile(s.pages[0], 3)[0]),
)
_add("next directory at 2**63", "big", "refused", lambda s: _chain(s, 0, 2**63))
_add(
    "child that is its parent",
    "ome",
    "refused",
    lambda s: s.set(s.pages[0], tag.SUB_IFDS, s.pages[0].at),
)
_add(
    "child that follows itself",
    "ome",
    "refused",
    lambda s: s.put(s.children[1].following, "I", s.children[1].at),
)
_add(
    "child in a tile",
    "ome",
    "refused",
    lambda s: s.set(s.pages[0], tag.SUB_IFDS, s.tile(s.pages[0], 3)[0]),
)

# Missing and odd levels.
_add("no lower levels", "jpeg", "whole", lambda s: _chain(s, 0, 0))
_add(
    "no children",
    "ome",
    "strange",
    lambda s: [s.set(s.pages[0], tag.SUB_IFDS, 0, i) for i in (0, 1)],
)
_add(
    "level without tiles",
    "jpeg",
    "strange",
    lambda s: s.rename(s.pages[1], tag.TILE_OFFSETS),
)
_add("level of no width", "jpeg", "strange", _widen(tag.WIDTH, 0, 1))
_add("level wider than the slide", "jpeg", "strange", _widen(tag.WIDTH, 2**31, 1))
_add(
    "level in another compression", "jpeg", "strange", _set(tag.COMPRESSION, 5, page=1)
)
_both(
    "tiles of a level 2**25 wide",
    "refused",
    lambda s: s.widen((s.pages + s.children)[1], tag.TILE_WIDTH, 2**25),
)
_add(
    "level of 16 bits",
    "big",
    "strange",
    lambda s: [s.set(s.pages[1], tag.BITS, 16, i) for i in range(3)],
)

# Where tiles are said to be.
_both("tile past the end", "refused", _set(tag.TILE_OFFSETS, 2**32 - 10, TILE))
_add("tile at 2**40", "big", "refused", _set(tag.TILE_OFFSETS, 2**40, TILE))
_add("tile at 2**64 - 1", "big", "refused", _set(tag.TILE_OFFSETS, 2**64 - 1, TILE))
_add(
    "tile of a level past the end",
    "jpeg",
    "refused",
    _set(tag.TILE_OFFSETS, 2**32 - 10, 1, page=1),
)
_both("tile in the header", "hurt", _offset_of(TILE, lambda s: 0))
_both("tile in a directory", "hurt", _offset_of(TILE, lambda s: s.pages[0].at))
_both(
    "tile that overlaps the next",
    "hurt",
    _offset_of(TILE, lambda s: s.tile(s.pages[0], TILE)[0] + 40),
)
_both("all tiles in the header", "strange", _all(tag.TILE_OFFSETS, 0))
_both("all tiles at one place", "strange", _all(tag.TILE_OFFSETS, 4000))
_both("tile of 4 GB", "refused", _set(tag.TILE_BYTES, 2**32 - 1, TILE))
for _power in (40, 62, 63):
    _add(
        f"tile of 2**{_power} bytes",
        "big",
        "refused",
        _widen(tag.TILE_BYTES, 2**_power),
    )
_add(
    "one tile of 2**64 - 1 bytes",
    "big",
    "refused",
    lambda s: (
        s.put(s.pages[0].tags[tag.TILE_BYTES].at + 2, "H", 16),
        s.put(s.pages[0].tags[tag.TILE_BYTES].data, "Q", 2**64 - 1),
    ),
)
_both("tile of one byte", "hurt", _set(tag.TILE_BYTES, 1, TILE))
_both("tile of no bytes", "strange", _set(tag.TILE_BYTES, 0, TILE))
_both("no tile has bytes", "strange", _all(tag.TILE_BYTES, 0))
_add(
    "tile cut in half, zlib",
    "ome",
    "hurt",
    lambda s: s.set(s.pages[0], tag.TILE_BYTES, s.tile(s.pages[0], TILE)[1] // 2, TILE),
)
_add(
    "tile cut in half, jpeg",
    "jpeg",
    "hurt",
    lambda s: s.set(s.pages[0], tag.TILE_BYTES, s.tile(s.pages[0], TILE)[1] // 2, TILE),
)
_both(
    "tile with bytes to spare",
    "whole",
    lambda s: s.set(s.pages[0], tag.TILE_BYTES, s.tile(s.pages[0], TILE)[1] + 60, TILE),
)

# Sizes.
for _name, _tag in (("width", tag.WIDTH), ("height", tag.HEIGHT)):
    for _value in (0, 2**31, 2**32 - 1):
        _both(f"{_name} of {_value}", "refused", _widen(_tag, _value))
    _both(f"{_name} of too few tiles", "refused", _widen(_tag, 5000))
    _both(f"{_name} of too many tiles", "strange", _widen(_tag, 200))
_both(
    "2**31 by 2**31",
    "refused",
    _together(_widen(tag.WIDTH, 2**31), _widen(tag.HEIGHT, 2**31)),
)
for _name, _tag in (("wide", tag.TILE_WIDTH), ("high", tag.TILE_HEIGHT)):
    for _value in (0, 1, 2**31):
        _both(f"tiles {_value} {_name}", "refused", _widen(_tag, _value))
_both(
    "tiles 65536 square",
    "refused",
    _together(_widen(tag.TILE_WIDTH, 65_536), _widen(tag.TILE_HEIGHT, 65_536)),
)
_both("tiles of another width", "strange", _widen(tag.TILE_WIDTH, 144))
_both(
    "tiles 8192 square",
    "strange",
    _together(_widen(tag.TILE_WIDTH, 8192), _widen(tag.TILE_HEIGHT, 8192)),
)
_add("no rows in a strip", "strips", "refused", _widen(278, 0))
_add("2**31 rows in a strip", "strips", "strange", _widen(278, 2**31))
_add("one row in a strip", "strips", "refused", _widen(278, 1))

# Tags.
for _name, _tag in (
    ("width", tag.WIDTH),
    ("height", tag.HEIGHT),
    ("tile width", tag.TILE_WIDTH),
    ("tile offsets", tag.TILE_OFFSETS),
    ("tile byte counts", tag.TILE_BYTES),
):
    _both(f"no {_name}", "refused", _rename(_tag))
_both("no compression said", "strange", _rename(tag.COMPRESSION))
_both("no colours said", "strange", _rename(tag.PHOTOMETRIC))
_both("other colours said", "strange", _set(tag.PHOTOMETRIC, 5))
for _kind in (2, 12, 99):
    _both(
        f"offsets of type {_kind}", "refused", _entry(tag.TILE_OFFSETS, 2, "H", _kind)
    )
_both("2**32 - 1 offsets", "refused", _entry(tag.TILE_OFFSETS, 4, "I", 2**32 - 1))
_both("one offset", "refused", _entry(tag.TILE_OFFSETS, 4, "I", 1))
_add("2**63 offsets", "big", "refused", _entry(tag.TILE_OFFSETS, 4, "Q", 2**63))
_both("a text of 2 GB", "refused", _entry(305, 4, "I", 2**31))
_both("16 bits", "strange", _all(tag.BITS, 16))
for _value in (0, 1, 2, 4, 255):
    _both(f"{_value} samples", "strange", _set(tag.SAMPLES, _value))
_both("separate planes", "strange", _set(tag.PLANES, 2))
for _value in (5, 7, 6, 34_712, 50_001, 60_000, 34_925, 1):
    _both(f"compression {_value}", "strange", _set(tag.COMPRESSION, _value))
_add("J2K said to be JPEG", "svs", "strange", _set(tag.COMPRESSION, 7))
_add("J2K said to be YCbCr", "svs", "strange", _set(tag.COMPRESSION, 33_003))
_add("LZW said to be JPEG", "strips", "strange", _set(tag.COMPRESSION, 7))

# Streams.
for _byte in (0, 0x5A, 0xFF):
    _both(f"tile of {_byte:#x}", "hurt", _fill(_byte))
_both("tile of noise", "hurt", _noise())
_both("first tile of noise", "hurt", _noise(0))
_add("half a tile of noise, zlib", "ome", "hurt", _noise(start=0.5))
_add("half a tile of noise, jpeg", "jpeg", "strange", _noise(start=0.5))
_add("half a tile of noise, j2k", "svs", "strange", _noise(start=0.5))
_add("half a tile of zeros, jpeg", "jpeg", "strange", _fill(0, start=0.5))
_add("half a tile of zeros, j2k", "svs", "strange", _fill(0, start=0.5))
_add(
    "all tiles of noise", "jpeg", "strange", lambda s: [_noise(i)(s) for i in range(20)]
)
_add(
    "tile of 65500 x 65500",
    "jpeg",
    "hurt",
    _together(_marker(0xC0, 5, "HH", 65_500), _marker(0xC0, 7, "HH", 65_500)),
)
_add("tile of another size", "jpeg", "hurt", _marker(0xC0, 5, "HH", 64))
_add("tile of no size", "jpeg", "hurt", _marker(0xC0, 5, "HH", 0))
_add("tile of 12 bits", "jpeg", "hurt", _marker(0xC0, 4, "B", 12))
_add("tile without loss", "jpeg", "hurt", _marker(0xC0, 1, "B", 0xC3))
_add("tile in arithmetic code", "jpeg", "strange", _marker(0xC0, 1, "B", 0xC9))
_add("tile said to be progressive", "jpeg", "strange", _marker(0xC0, 1, "B", 0xC2))
_add("tile of one component", "jpeg", "hurt", _marker(0xC0, 9, "B", 1))
_add("tile of 255 components", "jpeg", "hurt", _marker(0xC0, 9, "B", 255))
_add("tile without a scan", "jpeg", "hurt", _marker(0xDA, 1, "B", 0xE5))
for _byte in (0, 0xFF):
    _add(
        f"tables of {_byte:#x}",
        "jpeg",
        "strange",
        lambda s, byte=_byte: s.fill(
            s.pages[0].tags[tag.JPEG_TABLES].data,
            s.pages[0].tags[tag.JPEG_TABLES].length,
            byte,
        ),
    )  # type: ignore[misc]
_add("no tables", "jpeg", "strange", _rename(tag.JPEG_TABLES))
_add("tables of one byte", "jpeg", "strange", _entry(tag.JPEG_TABLES, 4, "I", 1))
_add("tile that is a bomb", "ome", "hurt", _replace(_bomb()))
_add(
    "tile that is a bomb, zstd",
    "ome",
    "hurt",
    _together(_all(tag.COMPRESSION, 50_000), _replace(_zstd_bomb())),
)
_add(
    "tile that is a bomb, lzma",
    "ome",
    "strange",
    _together(
        _all(tag.COMPRESSION, 34_925), _replace(lzma.compress(bytes(2**29), preset=0))
    ),
)
for _byte in (0, 0xFF):
    _add(f"J2K tile of {_byte:#x}", "svs", "hurt", _fill(_byte))
_add(
    "J2K tile of 2**31 px",
    "svs",
    "hurt",
    _together(
        _marker(0x51, 6, "IIII", 2**31 - 1), _marker(0x51, 10, "IIII", 2**31 - 1)
    ),
)
_add(
    "J2K tile of 40000 px",
    "svs",
    "hurt",
    _together(_marker(0x51, 6, "IIII", 40_000), _marker(0x51, 10, "IIII", 40_000)),
)
_add(
    "J2K tile of 30000 px in one piece",
    "svs",
    "hurt",
    _together(*(_marker(0x51, at, "IIII", 30_000) for at in (6, 10, 22, 26))),
)
_add(
    "JPEG of 65500 x 65500 in a strip",
    "jpeg strips",
    "hurt",
    _together(_marker(0xC0, 5, "HH", 65_500), _marker(0xC0, 7, "HH", 65_500)),
)
_add("J2K tile of 16384 components", "svs", "hurt", _marker(0x51, 38, "HH", 16_384))
_add(
    "J2K tile cut in half",
    "svs",
    "strange",
    lambda s: s.set(s.pages[0], tag.TILE_BYTES, s.tile(s.pages[0], TILE)[1] // 2, TILE),
)
_add(
    "strip of noise",
    "strips",
    "strange",
    lambda s: s.content.__setitem__(
        slice(s.tile(s.pages[0], 3)[0] + 50, s.tile(s.pages[0], 3)[0] + 5000),
        random.Random(0).randbytes(4950),
    ),
)
_add("strip of zeros", "strips", "strange", lambda s: s.fill(*s.tile(s.pages[0], 3)))
