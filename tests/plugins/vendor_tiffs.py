"""Small slides laid out as Trestle, Leica and Ventana scanners do, by documentation.

Each layout is as OpenSlide's pages on formats describe it, and is right where OpenSlide
names the vendor and gives back what was drawn. No scanner wrote these.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tifffile
from PIL import Image
from written_slides import TILE, halves

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

#: A picture of the glass that no level shows.
GLASS = np.full((TILE, TILE, 3), (250, 20, 20), np.uint8)


class Drawn(NamedTuple):
    """A file, and what each of its levels shows."""

    path: Path
    levels: list[Pixels]


def steps(length: int, overlap: int) -> list[int]:
    """Where tiles that overlap begin in what they show."""
    return list(range(0, max(length - overlap, 1), TILE - overlap))


def mosaic(pixels: Pixels, across: int, down: int) -> Pixels:
    """Set tiles that overlap in the slide side by side, as scanners write them."""
    rows = [
        np.concatenate(
            [
                pixels[y : y + TILE, x : x + TILE]
                for x in steps(pixels.shape[1], across)
            ],
            axis=1,
        )
        for y in steps(pixels.shape[0], down)
    ]
    return np.concatenate(rows)


def _coding(lossless: bool) -> dict[str, Any]:
    # JPEG means YCbCr with shared colours here, as scanners write it.
    return {"photometric": "rgb", "compression": "zlib" if lossless else "jpeg"}


def write_trestle(
    path: Path,
    pixels: Pixels,
    *,
    lossless: bool = True,
    overlaps: Sequence[tuple[int, int]] = ((16, 12), (8, 6), (4, 4)),
    mpp: float = 0.46,
    lens: float = 20,
) -> Drawn:
    """Write tiles that overlap; the resolution tags are micrometres per pixel.

    `mpp` and `lens` are stated unless 0.
    """
    levels = halves(pixels, len(overlaps))
    numbers = " ".join(str(n) for pair in overlaps for n in pair)
    power = f"Objective Power={lens:g};" if lens else ""
    description = (
        f"Background Color=FFFFFF;White Balance=1.00,1.00,1.00;{power}"
        f"JPEG Quality=80;OverlapsXY= {numbers}"
    )
    with tifffile.TiffWriter(path) as tif:
        for number, (level, overlap) in enumerate(zip(levels, overlaps, strict=True)):
            tif.write(
                mosaic(level, *overlap),
                tile=(TILE, TILE),
                software="MedScan 1.0",
                description=description if number == 0 else None,
                resolution=(mpp * 2**number,) * 2,
                resolutionunit="NONE",
                metadata=None,
                **_coding(lossless),
            )
    Image.fromarray(GLASS).save(path.with_suffix(".Full"), "JPEG")
    return Drawn(path, levels)


_LEICA = """<?xml version="1.0" encoding="utf-8"?>
<scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">
<collection name="collection" sizeX="{width}" sizeY="{height}">
<barcode>TmFtZQ==</barcode>
{images}
</collection></scn>"""
_LEICA_IMAGE = """<image><creationDate>2011-02-11T17:02:11.3Z</creationDate>
<device model="Leica SCN400" version="1.4.0.9691"/>
<pixels sizeX="{across}" sizeY="{down}">{dimensions}</pixels>
<view sizeX="{width}" sizeY="{height}" offsetX="{left}" offsetY="{top}"/>
<scanSettings><objectiveSettings><objective>{objective}</objective>
</objectiveSettings><illuminationSettings>
<numericalAperture>0.4</numericalAperture>
<illuminationSource>{light}</illuminationSource>
</illuminationSettings></scanSettings></image>"""


def write_leica(
    path: Path,
    pixels: Pixels,
    *,
    lossless: bool = True,
    regions: Sequence[tuple[int, int, int, int]] = (
        (200, 160, 292, 240),
        (640, 480, 300, 220),
    ),
    size: tuple[int, int] = (1200, 880),
    count: int = 3,
    light: str = "brightfield",
) -> Drawn:
    """Write regions ``(x, y, width, height)`` of the glass, lengths in nanometres.

    Each region has its own pyramid; the slide is the whole glass, empty between them.
    """
    nm, macro_nm = 500, 8000
    canvas = np.full((size[1], size[0], 3), 255, np.uint8)
    views, pages = [], [(GLASS, macro_nm)]

    def view(x: int, y: int, width: int, height: int, sizes: list[Any]) -> str:
        return _LEICA_IMAGE.format(
            light=light,
            across=sizes[0][1],
            down=sizes[0][2],
            left=x * nm,
            top=y * nm,
            width=width * nm,
            height=height * nm,
            objective=20 if (x, y) != (0, 0) else 0.60833,
            dimensions="".join(
                f'<dimension sizeX="{w}" sizeY="{h}" r="{r}" ifd="{ifd}"/>'
                for r, (ifd, w, h) in enumerate(sizes)
            ),
        )

    views.append(view(0, 0, *size, [(0, TILE, TILE)]))
    for x, y, width, height in regions:
        part = pixels[y % 200 :, x % 200 :][:height, :width]
        canvas[y : y + height, x : x + width] = part
        sizes = []
        for number, level in enumerate(halves(part, count)):
            sizes.append((len(pages), level.shape[1], level.shape[0]))
            pages.append((level, nm * 2**number))
        views.append(view(x, y, width, height, sizes))
    xml = _LEICA.format(
        width=size[0] * nm, height=size[1] * nm, images="\n".join(views)
    )
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for number, (page, own) in enumerate(pages):
            tif.write(
                page,
                tile=(TILE, TILE),
                description=xml if number == 0 else None,
                resolution=(1e7 / own,) * 2,
                resolutionunit="CENTIMETER",
                metadata=None,
                **_coding(lossless),
            )
    return Drawn(path, halves(canvas, count))


def _stitched(
    region: tuple[int, int, int, int], overlap: tuple[int, int], height: int
) -> str:
    """Say of a region where it lies, counted from below, and how its tiles join."""
    left, top, across, down = region
    right = left * (TILE - overlap[0])
    up = height - (top + down) * (TILE - overlap[1]) - overlap[1]

    def tile(column: int, row: int) -> int:
        from_below = down - 1 - row
        turned = across - 1 - column if from_below % 2 else column
        return from_below * across + turned + 1

    joint = (
        '<TileJointInfo FlagJoined="1" Confidence="99" Direction="{}" Tile1="{}" '
        'Tile2="{}" OverlapX="{}" OverlapY="{}"/>'
    )
    joints = [
        joint.format("RIGHT", tile(c, r), tile(c + 1, r), overlap[0], 0)
        for r in range(down)
        for c in range(across - 1)
    ] + [
        joint.format("UP", tile(c, r + 1), tile(c, r), 0, overlap[1])
        for r in range(down - 1)
        for c in range(across)
    ]
    return (
        f'<ImageInfo AOIScanned="1" Width="{TILE}" Height="{TILE}" NumRows="{down}" '
        f'NumCols="{across}" Pos-X="{right}" Pos-Y="{up}">'
        f"{''.join(joints)}</ImageInfo>"
    )


def write_ventana(
    path: Path,
    pixels: Pixels,
    *,
    lossless: bool = True,
    overlap: tuple[int, int] = (16, 8),
    count: int = 3,
    mpp: float = 0.465,
    lens: float = 20,
    regions: Sequence[tuple[int, int, int, int]] | None = None,
    stitched: bool = True,
) -> Drawn:
    """Write overlapping tiles, numbered from the bottom up and to and fro.

    Coarser levels shrink the mosaic as it lies, overlaps and all. `mpp` and `lens` are
    stated unless 0. `regions` are those that were scanned, ``(column, row, columns,
    rows)`` in tiles, all of it by default; other tiles are red and must not show.
    A plain Ventana TIFF is not `stitched`: it says nothing of its tiles.
    """
    step = TILE - overlap[0], TILE - overlap[1]
    across, down = (
        (side - lap) // (TILE - lap)
        for side, lap in zip((pixels.shape[1], pixels.shape[0]), overlap, strict=True)
    )
    size = down * step[1] + overlap[1], across * step[0] + overlap[0]
    cut = np.ascontiguousarray(pixels[: size[0], : size[1]])
    page, drawn = mosaic(cut, *overlap), np.full_like(cut, 255)
    unseen = np.ones((down, across), bool)
    parts = regions or [(0, 0, across, down)]
    for left, top, columns, rows in parts:
        unseen[top : top + rows, left : left + columns] = False
        y, x = top * step[1], left * step[0]
        spot = (
            slice(y, y + rows * step[1] + overlap[1]),
            slice(x, x + columns * step[0] + overlap[0]),
        )
        drawn[spot] = cut[spot]
    page[unseen.repeat(TILE, axis=0).repeat(TILE, axis=1)] = GLASS[0, 0]
    stated = f'ScanRes="{mpp}" ' if mpp else ""
    stated += f'Magnification="{lens:g}" ' if lens else ""
    scan = (
        f'<iScan {stated}Z-layers="1" Z-spacing="1" '
        'ScannerModel="iScan Coreo" UnitNumber="1" BuildVersion="3.3.1.1"/>'
    )
    info = (
        '<?xml version="1.0" encoding="utf-8"?><EncodeInfo Ver="2"><SlideInfo>'
        f"{scan}</SlideInfo><SlideStitchInfo>"
        + "".join(_stitched(part, overlap, size[0]) for part in parts)
        + "</SlideStitchInfo><AoiOrigin>"
        + "".join(
            f'<AOI{i} OriginX="{left * TILE}" OriginY="{top * TILE}"/>'
            for i, (left, top, *_) in enumerate(parts)
        )
        + "</AoiOrigin></EncodeInfo>"
    )
    pages = [
        (GLASS, "Label Image", scan),
        *(
            (
                level,
                f"level={i} mag={20 / 2**i:g} quality=90",
                info if i == 0 and stitched else "",
            )
            for i, level in enumerate(halves(page, count))
        ),
    ]
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for shown, description, xml in pages:
            packet = xml.encode()
            tif.write(
                shown,
                tile=(TILE, TILE),
                description=description,
                metadata=None,
                extratags=[(700, 1, len(packet), packet, True)] if packet else [],
                **_coding(lossless),
            )
    return Drawn(path, halves(drawn, count))
