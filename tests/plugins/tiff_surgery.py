"""A TIFF taken apart as far as it takes to break any one thing in it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Bytes of a value by its TIFF type.
SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, SAMPLES, STRIP_BYTES, PLANES, PREDICTOR = 273, 277, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILE_OFFSETS, TILE_BYTES = 322, 323, 324, 325
SUB_IFDS, SAMPLE_FORMAT, JPEG_TABLES = 330, 339, 347


@dataclass(frozen=True)
class Entry:
    """One tag: where its twelve (twenty) bytes and its values lie."""

    at: int
    kind: int
    count: int
    data: int

    @property
    def length(self) -> int:
        return self.count * SIZES[self.kind]


@dataclass(frozen=True)
class Directory:
    """One IFD: where it begins, its tags, and where it names the next one."""

    at: int
    tags: dict[int, Entry]
    following: int


class Surgery:
    """The bytes of a TIFF, little-endian, classic or big; changed in place."""

    def __init__(self, path: Path) -> None:
        self.content = bytearray(path.read_bytes())
        assert self.content[:2] == b"II"
        self.big = self.get(2, "H") == 43
        self.offset = "Q" if self.big else "I"
        self.head = 8 if self.big else 4
        self.pages: list[Directory] = []
        self.children: list[Directory] = []
        at = self.get(self.head, self.offset)
        while at:
            page = self._directory(at)
            self.pages.append(page)
            if SUB_IFDS in page.tags:
                self.children += map(self._directory, self.values(page, SUB_IFDS))
            at = self.get(page.following, self.offset)

    def get(self, at: int, code: str) -> int:
        value: int = struct.unpack_from("<" + code, self.content, at)[0]
        return value

    def put(self, at: int, code: str, value: int) -> None:
        struct.pack_into("<" + code, self.content, at, value)

    def fill(self, at: int, length: int, byte: int = 0) -> None:
        self.content[at : at + length] = bytes((byte,)) * length

    def _directory(self, at: int) -> Directory:
        entries = self.get(at, "Q" if self.big else "H")
        where = at + (8 if self.big else 2)
        tags = {}
        for _ in range(entries):
            kind = self.get(where + 2, "H")
            count = self.get(where + 4, self.offset)
            data = where + (12 if self.big else 8)
            if count * SIZES[kind] > (8 if self.big else 4):
                data = self.get(data, self.offset)
            tags[self.get(where, "H")] = Entry(where, kind, count, data)
            where += 20 if self.big else 12
        return Directory(at, tags, where)

    def values(self, page: Directory, tag: int) -> list[int]:
        entry = page.tags[tag]
        code, size = _CODES[entry.kind], SIZES[entry.kind]
        return [self.get(entry.data + i * size, code) for i in range(entry.count)]

    def set(self, page: Directory, tag: int, value: int, index: int = 0) -> None:
        """Put another value in a tag's place, as wide as the old one."""
        entry = page.tags[tag]
        size = SIZES[entry.kind]
        self.put(entry.data + index * size, _CODES[entry.kind], value)

    def widen(self, page: Directory, tag: int, value: int) -> None:
        """Make a tag one 32-bit (64-bit) value."""
        entry = page.tags[tag]
        self.put(entry.at + 2, "H", 16 if self.big else 4)
        self.put(entry.at + 4, self.offset, 1)
        self.put(entry.at + (12 if self.big else 8), self.offset, value)

    def rename(self, page: Directory, tag: int, to: int = 65_000) -> None:
        """Give a tag another number, which is as good as taking it out."""
        self.put(page.tags[tag].at, "H", to)

    def tile(self, page: Directory, index: int) -> tuple[int, int]:
        """Where a tile (or strip) lies, and its length."""
        tiled = TILE_OFFSETS in page.tags
        offsets = self.values(page, TILE_OFFSETS if tiled else STRIP_OFFSETS)
        counts = self.values(page, TILE_BYTES if tiled else STRIP_BYTES)
        return offsets[index], counts[index]

    def boundaries(self) -> list[int]:
        """Every place where something ends: where a file is cut most cruelly."""
        found = {2, self.head, self.head * 2}
        for page in [*self.pages, *self.children]:
            found |= {page.at, page.at + 1, page.following, page.following + 2}
            for entry in page.tags.values():
                found |= {entry.at, entry.data, entry.data + entry.length - 1}
            tag = TILE_OFFSETS if TILE_OFFSETS in page.tags else STRIP_OFFSETS
            for index in range(page.tags[tag].count):
                offset, count = self.tile(page, index)
                found |= {offset, offset + 1, offset + count - 1}
        return sorted(at for at in found if at < len(self.content))

    def save(self, path: Path) -> Path:
        path.write_bytes(self.content)
        return path
