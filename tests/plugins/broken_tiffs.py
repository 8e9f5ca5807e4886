"""Broken slides made from good ones, each by one thing that is wrong with it."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import imagecodecs
import numpy as np
import tifffile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WIDTH, HEIGHT, COMPRESSION, PHOTOMETRIC, SAMPLES = 256, 257, 259, 262, 277
PLANAR, TILE_WIDTH, TILE_HEIGHT, OFFSETS, COUNTS = 284, 322, 323, 324, 325
BITS = 258


@dataclass
class Tiff:
    """The bytes of a TIFF and where its fields are.

    Attributes
    ----------
    data : bytearray
        All of it.
    directories : list of int
        Where each directory begins.
    fields : dict
        By ``(directory, tag)``: position of the entry, type, count, and where its
        values are.
    """

    data: bytearray
    directories: list[int] = field(default_factory=list)
    fields: dict[tuple[int, int], tuple[int, int, int, int]] = field(
        default_factory=dict
    )

    SIZES: ClassVar = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 12: 8, 16: 8}

    def __post_init__(self) -> None:
        self.big = self.data[2:4] == b"+\0"
        at = self._get("<Q", 8) if self.big else self._get("<I", 4)
        while at:
            index = len(self.directories)
            self.directories.append(at)
            count = self._get("<Q" if self.big else "<H", at)
            entry = at + (8 if self.big else 2)
            for _ in range(count):
                tag, kind = struct.unpack_from("<HH", self.data, entry)
                n = self._get("<Q" if self.big else "<I", entry + 4)
                value = entry + (12 if self.big else 8)
                inline = 8 if self.big else 4
                if n * self.SIZES[kind] > inline:
                    value = self._get("<Q" if self.big else "<I", value)
                self.fields[index, tag] = (entry, kind, n, value)
                entry += 20 if self.big else 12
            self.ends = [*getattr(self, "ends", []), entry]
            at = self._get("<Q" if self.big else "<I", entry)

    def _get(self, layout: str, at: int) -> int:
        return int(struct.unpack_from(layout, self.data, at)[0])

    def values(self, directory: int, tag: int) -> list[int]:
        _, kind, n, at = self.fields[directory, tag]
        letter = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}[kind]
        return list(struct.unpack_from(f"<{n}{letter}", self.data, at))

    def set(self, directory: int, tag: int, value: int, index: int = 0) -> None:
        """Overwrite one value in place; one too large for its type makes it wider."""
        entry, kind, n, at = self.fields[directory, tag]
        if n == 1 and kind == 3 and value > 0xFFFF:
            struct.pack_into("<H", self.data, entry + 2, 4)
            kind = 4
        letter = {1: "B", 3: "H", 4: "I", 7: "B", 16: "Q"}[kind]
        struct.pack_into(f"<{letter}", self.data, at + index * self.SIZES[kind], value)

    def set_all(self, directory: int, tag: int, value: int) -> None:
        for index in range(self.fields[directory, tag][2]):
            self.set(directory, tag, value, index)

    def next_directory(self, directory: int, at: int) -> None:
        layout = "<Q" if self.big else "<I"
        struct.pack_into(layout, self.data, self.ends[directory], at)

    def tile(self, directory: int, index: int) -> tuple[int, int]:
        return (
            self.values(directory, OFFSETS)[index],
            self.values(directory, COUNTS)[index],
        )

    def replace_tile(self, index: int, content: bytes) -> None:
        """Put another content where a tile of level 0 was."""
        offset, count = self.tile(0, index)
        content = content[:count]
        self.data[offset : offset + len(content)] = content
        self.set(0, COUNTS, len(content), index)


def write_good(path: Path, pixels: np.ndarray, *, big: bool, jpeg: bool) -> None:
    """Two levels of 256 px tiles."""
    options = (
        {"photometric": "rgb", "compression": "jpeg", "subsampling": (2, 2)}
        if jpeg
        else {"photometric": "rgb", "compression": "zlib"}
    )
    with tifffile.TiffWriter(path, bigtiff=big) as tif:
        for step in (1, 2):
            tif.write(
                pixels[::step, ::step],
                tile=(256, 256),
                subfiletype=int(step > 1),
                metadata=None,
                **options,
            )


def _truncated(tiff: Tiff) -> Iterator[tuple[str, Callable[[Tiff], None]]]:
    """Cut at every boundary of the structure, and in the middle of every part."""
    places: dict[str, int] = {"magic": 2, "first offset": 4, "header": 8}
    for index, at in enumerate(tiff.directories):
        end = tiff.ends[index]
        places |= {
            f"directory {index}": at,
            f"directory {index} count": at + 1,
            f"directory {index} middle": (at + end) // 2,
            f"directory {index} end": end,
            f"directory {index} next": end + 2,
        }
        for tag in (OFFSETS, COUNTS):
            _, kind, n, value = tiff.fields[index, tag]
            places[f"directory {index} tag {tag}"] = value
            places[f"directory {index} tag {tag} middle"] = (
                value + n * Tiff.SIZES[kind] // 2
            )
        offset, count = tiff.tile(index, 0)
        places[f"level {index} first tile"] = offset
        places[f"level {index} in a tile"] = offset + count // 2
    places["last byte"] = len(tiff.data) - 1

    def cut(at: int) -> Callable[[Tiff], None]:
        def change(tiff: Tiff) -> None:
            del tiff.data[at:]

        return change

    for name, at in places.items():
        yield f"cut at {name}", cut(at)


def _fields() -> Iterator[tuple[str, Callable[[Tiff], None]]]:
    """Put one absurd value into one field."""

    def put(level: int, tag: int, value: int) -> Callable[[Tiff], None]:
        return lambda tiff: tiff.set(level, tag, value)

    absurd = {
        "width": (WIDTH, (0, 2**31, 2**32 - 1, 1)),
        "height": (HEIGHT, (0, 2**31, 2**32 - 1)),
        "tile width": (TILE_WIDTH, (0, 1, 17, 2**31)),
        "tile height": (TILE_HEIGHT, (0, 2**31)),
        "compression": (COMPRESSION, (0, 1, 5, 8, 34712, 65_000)),
        "photometric": (PHOTOMETRIC, (0, 3, 99)),
        "samples": (SAMPLES, (0, 1, 5, 60_000)),
        "planes": (PLANAR, (0, 2, 9)),
        "bits": (BITS, (0, 16, 64)),
    }
    for level in (0, 1):
        for name, (tag, values) in absurd.items():
            for value in values:
                yield f"{name} {value} of level {level}", put(level, tag, value)


def _segments() -> Iterator[tuple[str, Callable[[Tiff], None]]]:
    """Lie about where tiles are."""
    for level in (0, 1):

        def at(tag: int, value: int, level: int = level) -> Callable[[Tiff], None]:
            return lambda tiff: tiff.set(level, tag, value, 1)

        def everywhere(
            tag: int, value: int, level: int = level
        ) -> Callable[[Tiff], None]:
            return lambda tiff: tiff.set_all(level, tag, value)

        yield f"offset past the end of level {level}", at(OFFSETS, 2**31)
        yield f"offset of the header of level {level}", at(OFFSETS, 0)
        yield f"offsets all zero of level {level}", everywhere(OFFSETS, 0)
        yield f"a count of 4 GiB of level {level}", at(COUNTS, 2**32 - 1)
        yield f"counts of 4 GiB of level {level}", everywhere(COUNTS, 2**32 - 1)
        yield f"a count of 1 of level {level}", at(COUNTS, 1)
        yield f"counts all zero of level {level}", everywhere(COUNTS, 0)


def _structure() -> Iterator[tuple[str, Callable[[Tiff], None]]]:
    """Bend the chain of directories, and the header."""

    def write(at: int, content: bytes) -> Callable[[Tiff], None]:
        def change(tiff: Tiff) -> None:
            tiff.data[at : at + len(content)] = content

        return change

    yield "a directory after itself", lambda t: t.next_directory(0, t.directories[0])
    yield "directories in a circle", lambda t: t.next_directory(1, t.directories[0])
    yield "a directory past the end", lambda t: t.next_directory(1, 2**31)
    yield "a directory in a tile", lambda t: t.next_directory(1, t.tile(0, 0)[0])
    yield "the other byte order", write(0, b"MM")
    yield "another magic number", write(2, b"\x2c\0")
    yield "first directory past the end", write(4, struct.pack("<I", 2**31))
    yield "no directory", write(4, bytes(4))
    for count in (0, 65_535):

        def entries(tiff: Tiff, count: int = count) -> None:
            struct.pack_into("<H", tiff.data, tiff.directories[0], count)

        yield f"{count} entries", entries

    def unknown(tiff: Tiff) -> None:
        struct.pack_into("<H", tiff.data, tiff.fields[0, OFFSETS][0] + 2, 99)

    yield "offsets of an unknown type", unknown

    def fewer(tiff: Tiff) -> None:
        struct.pack_into("<I", tiff.data, tiff.fields[0, OFFSETS][0] + 4, 2)

    yield "fewer offsets than tiles", fewer


def _jpegs(pixels: np.ndarray) -> Iterator[tuple[str, Callable[[Tiff], None]]]:
    """Spoil one JPEG tile."""
    part = np.ascontiguousarray(pixels[:256, :256])
    small = imagecodecs.jpeg8_encode(np.ascontiguousarray(part[:64, :64]), level=50)
    grey = imagecodecs.jpeg8_encode(np.ascontiguousarray(part[:64, :64, 0]), level=20)
    png = imagecodecs.png_encode(np.ascontiguousarray(part[:16, :16]))

    def put(content: bytes) -> Callable[[Tiff], None]:
        return lambda tiff: tiff.replace_tile(1, content)

    def half(tiff: Tiff) -> None:
        offset, count = tiff.tile(0, 1)
        tiff.data[offset + count // 2 : offset + count] = bytes(count - count // 2)

    yield "a JPEG of nothing but its start", put(b"\xff\xd8")
    yield "a JPEG of another size", put(small)
    yield "a grey JPEG", put(grey)
    yield "a PNG in place of a JPEG", put(png)
    yield "zeros in place of a JPEG", put(bytes(400))
    yield "a JPEG whose second half is lost", half


def broken(folder: Path, pixels: np.ndarray) -> dict[str, Path]:
    """Write all of them; by what is wrong."""
    made: dict[str, Path] = {}
    good: dict[str, bytes] = {}
    for kind, big, jpeg in (
        ("jpeg", False, True),
        ("zlib", False, False),
        ("big", True, True),
    ):
        path = folder / f"good-{kind}.tif"
        write_good(path, pixels, big=big, jpeg=jpeg)
        good[kind] = path.read_bytes()

    def add(kind: str, name: str, change: Callable[[Tiff], None]) -> None:
        tiff = Tiff(bytearray(good[kind]))
        change(tiff)
        path = folder / f"{len(made):03d}-{kind}.tif"
        path.write_bytes(tiff.data)
        made[f"{kind}: {name}"] = path

    for name, change in _truncated(Tiff(bytearray(good["jpeg"]))):
        add("jpeg", name, change)
    for kind in ("jpeg", "zlib"):
        for source in (_fields(), _segments(), _structure()):
            for name, change in source:
                add(kind, name, change)
    for name, change in _jpegs(pixels):
        add("jpeg", name, change)
    add("big", "a count of 2**40", lambda t: t.set(0, COUNTS, 2**32 - 1, 1))
    add("big", "offset of 2**60", lambda t: t.set(0, OFFSETS, 2**60, 1))
    add("big", "a directory past the end", lambda t: t.next_directory(1, 2**60))
    return made
