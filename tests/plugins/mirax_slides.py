"""Small slides laid out as 3DHISTECH's scanners do, by documentation: MRXS.

The camera takes overlapping photos, each parted into 2 x 2 pictures; coarser levels
join pictures side by side, whether they came from one photo or not, so that they are
taken apart again when they are placed. No scanner wrote these.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from vendor_tiffs import GLASS, Drawn
from written_slides import halves

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]
    Value = int | float | str
    Facts = dict[str, dict[str, Value]]

_SIDE = 128  # of a picture
_PER_PHOTO = 2
_OVERLAP = 16
_ID = "00112233445566778899AABBCCDDEEFF"
LABEL = np.full((64, 96, 3), (10, 10, 220), np.uint8)


class _Data:
    """A file of data, and a note of where each piece lies."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.content = b"padding!"

    def add(self, piece: bytes) -> tuple[int, int, int]:
        at = len(self.content)
        self.content += piece
        return at, len(piece), self.number


def _encoded(pixels: Pixels, kind: str) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(
        out, kind, **({"quality": 95} if kind == "JPEG" else {})
    )
    return out.getvalue()


def write_mirax(
    path: Path,
    pixels: Pixels,
    *,
    lossless: bool = True,
    photos: tuple[int, int] = (3, 2),
    positions: bool = True,
    files: int = 1,
    mpp: float = 0.46,
    lens: int = 20,
) -> Drawn:
    """Write the folder beside `path`, which is itself a JPEG picture of the glass.

    Parameters
    ----------
    path : Path
        The ``.mrxs`` file.
    pixels : array
        Level 0, of which as much is written as the photos take in.
    lossless : bool
        Pictures are PNG, and JPEG otherwise.
    photos : (int, int)
        Across and down.
    positions : bool
        Whether the file says where each photo lies; otherwise they lie by their
        overlap.
    files : int
        Files of data, among which the pictures are dealt out.
    mpp, lens : float, int
        What is stated; 0 for nothing.
    """
    kind = "PNG" if lossless else "JPEG"
    photo = _SIDE * _PER_PHOTO
    step = photo - _OVERLAP
    across, down = photos
    corners = [(c * step, r * step) for r in range(down) for c in range(across)]
    size = (across - 1) * step + photo, (down - 1) * step + photo
    drawn = np.ascontiguousarray(pixels[: size[1], : size[0]])
    assert drawn.shape[:2] == size[::-1]
    wide, high = across * _PER_PHOTO, down * _PER_PHOTO
    glass = np.full((high * _SIDE + photo, wide * _SIDE + photo, 3), 255, np.uint8)
    for number, (x, y) in enumerate(corners):
        r, c = divmod(number, across)
        glass[r * photo :, c * photo :][:photo, :photo] = drawn[
            y : y + photo, x : x + photo
        ]

    data = [_Data(number) for number in range(files)]
    zooms = []
    for level in range(3):
        joined = 2**level
        records = []
        for y in range(0, high, joined):
            for x in range(0, wide, joined):
                shown = glass[y * _SIDE :, x * _SIDE :][
                    : joined * _SIDE, : joined * _SIDE
                ]
                piece = _encoded(np.ascontiguousarray(shown[::joined, ::joined]), kind)
                number = y * wide + x
                records.append((number, *data[len(records) % files].add(piece)))
        zooms.append(records)
    others = [data[0].add(_encoded(shown, "JPEG")) for shown in (GLASS, LABEL, GLASS)]
    if positions:
        places = b"".join(struct.pack("<Bii", 0, x, y) for x, y in corners)
        others.append(data[0].add(places))

    folder = path.with_suffix("")
    folder.mkdir()
    path.write_bytes(_encoded(GLASS, "JPEG"))
    for one in data:
        (folder / f"Data{one.number:04}.dat").write_bytes(one.content)
    (folder / "Index.dat").write_bytes(_index(zooms, others))
    facts = _facts(wide, high, kind, mpp, lens)
    facts["DATAFILE"] = {
        "FILE_COUNT": files,
        **{f"FILE_{one.number}": f"Data{one.number:04}.dat" for one in data},
    }
    if positions:
        _add_positions(facts)
    lines = []
    for group, keys in facts.items():
        lines += [f"[{group}]", *(f"{k} = {v}" for k, v in keys.items()), ""]
    text = "\r\n".join(lines)
    (folder / "Slidedat.ini").write_text(text, encoding="utf-8-sig", newline="")
    return Drawn(path, halves(drawn, 3))


def _index(
    zooms: list[list[tuple[int, int, int, int]]],
    others: list[tuple[int, int, int]],
) -> bytes:
    """Build pointers to lists of pages of records, as the index has them."""
    out = bytearray(b"01.02" + _ID.encode())
    roots = len(out)
    out += bytes(8)

    def number(at: int, value: int) -> None:
        struct.pack_into("<i", out, at, value)

    number(roots, len(out))
    table = len(out)
    out.extend(bytes(4 * len(zooms)))
    for i, records in enumerate(zooms):
        number(table + 4 * i, len(out))
        out.extend(struct.pack("<2i", 0, len(out) + 8))
        # Two pages, the first leading to the second.
        cut = len(records) // 2
        after = len(out) + 8 + 16 * cut
        for page, following in ((records[:cut], after), (records[cut:], 0)):
            if page is records and not page:
                continue
            out.extend(struct.pack("<2i", len(page), following))
            for record in page:
                out.extend(struct.pack("<4i", *record))
    number(roots + 4, len(out))
    table = len(out)
    out.extend(bytes(4 * len(others)))
    for i, (at, length, file) in enumerate(others):
        number(table + 4 * i, len(out))
        out.extend(struct.pack("<2i", 0, len(out) + 8))
        out.extend(struct.pack("<7i", 1, 0, 0, 0, at, length, file))
    return bytes(out)


def _facts(wide: int, high: int, kind: str, mpp: float, lens: int) -> Facts:
    """Say what ``Slidedat.ini`` does, but for the data files."""
    hierarchy: dict[str, Value] = {
        "HIER_COUNT": 1,
        "NONHIER_COUNT": 1,
        "INDEXFILE": "Index.dat",
        "HIER_0_NAME": "Slide zoom level",
        "HIER_0_COUNT": 3,
        "NONHIER_0_NAME": "Scan data layer",
        "NONHIER_0_COUNT": 3,
    }
    groups: Facts = {
        "GENERAL": {
            "SLIDE_VERSION": "01.02",
            "SLIDE_ID": _ID,
            "SLIDE_NAME": "slide",
            "IMAGENUMBER_X": wide,
            "IMAGENUMBER_Y": high,
            "OBJECTIVE_MAGNIFICATION": lens,
            "CameraImageDivisionsPerSide": _PER_PHOTO,
        },
        "HIERARCHICAL": hierarchy,
    }
    for level in range(3):
        section = f"LAYER_0_LEVEL_{level}_SECTION"
        hierarchy[f"HIER_0_VAL_{level}"] = f"ZoomLevel_{level}"
        hierarchy[f"HIER_0_VAL_{level}_SECTION"] = section
        groups[section] = {
            "OVERLAP_X": _OVERLAP / 2**level,
            "OVERLAP_Y": _OVERLAP / 2**level,
            "MICROMETER_PER_PIXEL_X": mpp * 2**level,
            "MICROMETER_PER_PIXEL_Y": mpp * 2**level,
            "IMAGE_FORMAT": kind,
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": _SIDE,
            "DIGITIZER_HEIGHT": _SIDE,
            "IMAGE_CONCAT_FACTOR": int(level > 0),
        }
    pictures = {
        "ScanDataLayer_SlideThumbnail": "THUMBNAIL_IMAGE_TYPE",
        "ScanDataLayer_SlideBarcode": "BARCODE_IMAGE_TYPE",
        "ScanDataLayer_SlidePreview": "PREVIEW_IMAGE_TYPE",
    }
    for i, (name, kind_key) in enumerate(pictures.items()):
        section = f"NONHIERLAYER_0_LEVEL_{i}_SECTION"
        hierarchy[f"NONHIER_0_VAL_{i}"] = name
        hierarchy[f"NONHIER_0_VAL_{i}_SECTION"] = section
        groups[section] = {kind_key: "JPEG"}
    return groups


def _add_positions(facts: Facts) -> None:
    facts["HIERARCHICAL"] |= {
        "NONHIER_COUNT": 2,
        "NONHIER_1_NAME": "VIMSLIDE_POSITION_BUFFER",
        "NONHIER_1_COUNT": 1,
        "NONHIER_1_VAL_0": "default",
        "NONHIER_1_VAL_0_SECTION": "NONHIERLAYER_1_SECTION",
    }
    facts["NONHIERLAYER_1_SECTION"] = {"VIMSLIDE_POSITION_DATA_FORMAT_VERSION": 257}
