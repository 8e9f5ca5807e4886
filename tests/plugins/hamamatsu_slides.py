"""Small slides laid out as Hamamatsu scanners do, by documentation: NDPI, VMS, VMU.

Their JPEGs are one picture each, which restart markers part into tiles of one row of
blocks; OpenSlide makes levels of 1/2, 1/4 and 1/8 from each. No scanner wrote these.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image
from vendor_tiffs import GLASS, Drawn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

#: Width of a tile: a run of blocks of 8 pixels between two restart markers.
RUN = 128


def means(pixels: Pixels, factor: int) -> Pixels:
    """Shrink by area means; both sides are multiples of the factor."""
    height, width = (side // factor for side in pixels.shape[:2])
    blocks = pixels.reshape(height, factor, width, factor, 3).astype(np.float64)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


class Jpeg(NamedTuple):
    """A JPEG, and where its tiles begin in it."""

    content: bytes
    starts: list[int]


def restarting(pixels: Pixels, run: int | None = RUN) -> Jpeg:
    """Encode with restart markers every `run` pixels, or without any."""
    out = io.BytesIO()
    options = {} if run is None else {"restart_marker_blocks": run // 8}
    Image.fromarray(pixels).save(
        out, "JPEG", quality=95, subsampling="4:4:4", **options
    )
    content, at = out.getvalue(), 2
    while True:  # segment by segment, until the scan begins
        ends = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if content[at + 1] == 0xDA:
            break
        at = ends
    markers = [
        i + 2
        for i in range(ends, len(content) - 1)
        if content[i] == 0xFF and 0xD0 <= content[i + 1] <= 0xD7
    ]
    return Jpeg(content, [ends, *markers])


def _cut(pixels: Pixels) -> Pixels:
    """Whole tiles only, also of the levels that OpenSlide derives."""
    height, width = (side // 256 * 256 for side in pixels.shape[:2])
    return np.ascontiguousarray(pixels[:height, :width])


def write_ndpi(
    path: Path,
    pixels: Pixels,
    *,
    starts: bool = True,
    gap: int = 0,
    ahead: bool = False,
    mpp: float = 0.46,
    lens: float = 20,
) -> Drawn:
    """Write levels of 1, 1/4 and 1/16, the last without restart markers, and a macro.

    Parameters
    ----------
    path : Path
        The file.
    pixels : array
        Level 0, which is cut to whole tiles.
    starts : bool
        Whether the file says where its tiles begin, as those of newer scanners do.
    gap : int
        Bytes of nothing before everything: beyond 4 GiB offsets no longer fit into the
        fields of a TIFF, and only their low halves lie there.
    ahead : bool
        Whether the directories lie in the gap, before the pictures.
    mpp, lens : float
        What is stated of level 0; 0 for nothing.
    """
    pixels = _cut(pixels)
    pictures = [
        (restarting(pixels), pixels, 1),
        (restarting(means(pixels, 4), RUN // 2), means(pixels, 4), 4),
        (restarting(means(pixels, 16), None), means(pixels, 16), 16),
        (restarting(GLASS, None), GLASS, 0),
    ]
    directories: list[list[tuple[int, int, int, bytes]]] = []
    with path.open("wb") as file:
        file.write(b"II*\0" + bytes(8))
        if gap:
            file.truncate(gap)
            file.seek(gap)
        for jpeg, shown, factor in pictures:
            at = file.tell()
            file.write(jpeg.content)
            height, width = shown.shape[:2]
            power = lens / factor if factor else -1
            per_cm = struct.pack("<2I", round(10**6 / max(factor, 1)), round(100 * mpp))
            tags = [
                (256, 4, 1, struct.pack("<I", width)),
                (257, 4, 1, struct.pack("<I", height)),
                (258, 3, 3, struct.pack("<3H", 8, 8, 8)),
                (259, 3, 1, struct.pack("<H", 7)),
                (262, 3, 1, struct.pack("<H", 6)),
                (271, 2, 10, b"Hamamatsu\0"),
                (273, 4, 1, struct.pack("<Q", at)),
                (277, 3, 1, struct.pack("<H", 3)),
                (278, 4, 1, struct.pack("<I", height)),
                (279, 4, 1, struct.pack("<I", len(jpeg.content))),
                *((tag, 5, 1, per_cm) for tag in (282, 283) if mpp),
                (296, 3, 1, struct.pack("<H", 3)),
                (65420, 4, 1, struct.pack("<I", 1)),
                (65421, 11, 1, struct.pack("<f", power)),
                (65422, 9, 1, struct.pack("<i", 1000)),
                (65423, 9, 1, struct.pack("<i", -2000)),
                (65424, 9, 1, struct.pack("<i", 0)),
            ]
            if starts and len(jpeg.starts) > 1:
                count = len(jpeg.starts)
                packed = struct.pack(f"<{count}I", *jpeg.starts)
                tags.append((65426, 4, count, packed))
            tags.append((65427, 2, 6, b"REF-1\0"))
            directories.append(tags)
        file.write(bytes(-file.tell() % 8))
        if ahead:
            file.seek(16)
        link = 4  # where the offset of the next directory goes: eight bytes
        for tags in directories:
            values, highs = [], []
            for tag, kind, count, value in tags:
                stored = value
                if len(value) > 4 and tag != 273:
                    where = file.tell()
                    file.write(value + bytes(-len(value) % 4))
                    stored = struct.pack("<Q", where)
                stored = stored.ljust(8, b"\0")
                values.append(struct.pack("<HHI", tag, kind, count) + stored[:4])
                highs.append(stored[4:])
            at = file.tell()
            file.write(struct.pack("<H", len(tags)) + b"".join(values))
            following = file.tell()
            file.write(bytes(8))
            file.write(b"".join(highs))
            end = file.tell()
            file.seek(link)
            file.write(struct.pack("<Q", at))
            file.seek(end)
            link = following
        assert not ahead or file.tell() <= gap
    return Drawn(path, [means(pixels, 2**i) for i in range(6)])


def write_vms(
    path: Path,
    pixels: Pixels,
    *,
    optimised: bool = True,
    mpp: float = 0.46,
    lens: float = 20,
) -> Drawn:
    """Write two by two JPEGs beside a key file, and a map of 1/16."""
    pixels = _cut(pixels)
    height, width = pixels.shape[:2]
    # Only the last of a row or column may be smaller than the others.
    middle_x, middle_y = 512, 256
    names, rows = {}, b""
    for row, (top, bottom) in enumerate(((0, middle_y), (middle_y, height))):
        for column, (left, right) in enumerate(((0, middle_x), (middle_x, width))):
            key = f"ImageFile({column},{row})" if row or column else "ImageFile"
            names[key] = f"{path.stem}({column},{row}).jpg"
            jpeg = restarting(pixels[top:bottom, left:right])
            (path.parent / names[key]).write_bytes(jpeg.content)
            across = (right - left) // RUN
            for start in jpeg.starts[::across]:  # one record of 40 bytes a row
                rows += struct.pack("<q", start).ljust(40, b"\0")
    overview = restarting(means(pixels, 16), width // 16)
    (path.parent / f"{path.stem}_map2.jpg").write_bytes(overview.content)
    (path.parent / f"{path.stem}_macro.jpg").write_bytes(restarting(GLASS).content)
    if optimised:
        path.with_suffix(".opt").write_bytes(rows)
    keys = {
        "NoLayers": 1,
        "NoJpegColumns": 2,
        "NoJpegRows": 2,
        **names,
        "MapFile": f"{path.stem}_map2.jpg",
        "MacroImage": f"{path.stem}_macro.jpg",
        "OptimisationFile": f"{path.stem}.opt",
        **_stated(width, height, mpp, lens),
    }
    _write_keys(path, "Virtual Microscope Specimen", keys)
    return Drawn(path, [means(pixels, 2**i) for i in range(5)])


def write_vmu(
    path: Path, pixels: Pixels, *, mpp: float = 0.46, lens: float = 20
) -> Drawn:
    """Write a level and a map of 1/8 as columns of bare 12-bit samples."""
    pixels = _cut(pixels)
    levels = [pixels, means(pixels, 8)]
    for level, name in zip(levels, (".ngr", "_map.ngr"), strict=True):
        height, width = level.shape[:2]
        column = 64 if width % 64 == 0 else width
        head = b"GN\0\0" + struct.pack("<3I", width, height, column)
        head += bytes(8) + struct.pack("<I", 64)
        columns = [
            (level[:, x : x + column].astype("<u2") << 4).tobytes()
            for x in range(0, width, column)
        ]
        file = path.parent / f"{path.stem}{name}"
        file.write_bytes(head.ljust(64, b"\0") + b"".join(columns))
    keys = {
        "NoLayers": 1,
        "ImageFile": f"{path.stem}.ngr",
        "MapFile": f"{path.stem}_map.ngr",
        "BitsPerPixel": 36,
        "PixelOrder": "RGB",
        **_stated(pixels.shape[1], pixels.shape[0], mpp, lens),
    }
    _write_keys(path, "Uncompressed Virtual Microscope Specimen", keys)
    return Drawn(path, levels)


def _stated(width: int, height: int, mpp: float, lens: float) -> dict[str, str]:
    """Say the size in nanometres, and the objective; 0 for nothing."""
    sides = {"PhysicalWidth": width, "PhysicalHeight": height} if mpp else {}
    keys = {key: f"{round(side * mpp * 1000)}" for key, side in sides.items()}
    return keys | ({"SourceLens": f"{lens:g}"} if lens else {})


def _write_keys(path: Path, group: str, keys: Mapping[str, int | str]) -> None:
    lines = [f"[{group}]", *(f"{key}={value}" for key, value in keys.items()), ""]
    path.write_text("\r\n".join(lines), newline="")
