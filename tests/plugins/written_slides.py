"""Small slides in each layout of TIFF that scanners and converters write."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

TILE = 128
APERIO = (
    "Aperio Image Library v11.2.1\r\n{1}x{0} [0,0 {1}x{0}] (128x128) "
    "JPEG/RGB Q=85|AppMag = 20|MPP = 0.5"
)


def tissue(height: int = 500, width: int = 600, seed: int = 0) -> NDArray[np.uint8]:
    """Something with colour and detail everywhere, no two tiles alike."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices((height, width))
    waves = [np.sin(rows / a + columns / b) for a, b in ((9, 31), (23, -14), (40, 7))]
    pixels = 150 + 60 * np.stack(waves, axis=-1) + rng.normal(0, 6, (height, width, 1))
    return np.clip(pixels, 0, 255).astype(np.uint8)


def tiles_of(
    pixels: NDArray[np.uint8], side: int = TILE
) -> Iterator[NDArray[np.uint8]]:
    """Whole tiles, row by row; beyond the border the last pixels go on."""
    height, width = pixels.shape[:2]
    padded = np.pad(
        pixels, ((0, -height % side), (0, -width % side), (0, 0)), mode="edge"
    )
    for y in range(0, height, side):
        for x in range(0, width, side):
            yield np.ascontiguousarray(padded[y : y + side, x : x + side])


def split_jpeg(stream: bytes) -> tuple[bytes, bytes]:
    """Part a JPEG into its tables and the rest, as TIFF keeps them."""
    tables, rest, at = b"", b"", 2
    while stream[at + 1] != 0xDA:  # until the scan begins
        length = 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        segment = stream[at : at + length]
        if stream[at + 1] in (0xDB, 0xC4):
            tables += segment
        elif stream[at + 1] not in (0xE0, 0xEE):  # JFIF, Adobe: TIFF says it itself
            rest += segment
        at += length
    return b"\xff\xd8" + tables + b"\xff\xd9", b"\xff\xd8" + rest + stream[at:]


def encode(tile: NDArray[np.uint8], **options: Any) -> bytes:
    """Encode one tile as JPEG, with or without conversion to YCbCr."""
    rgb, out = options.pop("rgb", False), io.BytesIO()
    options["subsampling"] = "4:4:4" if rgb else ":".join(options["subsampling"])
    Image.fromarray(tile).save(out, "JPEG", quality=85, keep_rgb=rgb, **options)
    return out.getvalue()


def write_jpeg(
    path: Path,
    levels: list[NDArray[np.uint8]],
    *,
    subsampling: str = "420",
    rgb: bool = False,
    tables: bool = True,
    progressive: bool = False,
    big: bool = False,
    description: str | None = None,
) -> Path:
    """Write a pyramid of JPEG tiles whose tables lie once a level, as scanners do."""
    with tifffile.TiffWriter(path, bigtiff=big) as tif:
        for number, pixels in enumerate(levels):
            streams = [
                encode(tile, subsampling=subsampling, rgb=rgb, progressive=progressive)
                for tile in tiles_of(pixels)
            ]
            extra: list[Any] = []
            if tables:
                parts = [split_jpeg(stream) for stream in streams]
                assert len({shared for shared, _ in parts}) == 1
                shared, streams = parts[0][0], [own for _, own in parts]
                extra = [(347, 7, len(shared), shared, True)]
            factors = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}
            tif.write(
                iter(streams),
                shape=pixels.shape,
                dtype=np.uint8,
                tile=(TILE, TILE),
                photometric="rgb" if rgb else "ycbcr",
                subsampling=None if rgb else factors[subsampling],
                compression="jpeg",
                compressionargs={"outcolorspace": "rgb"} if rgb else None,
                subfiletype=int(number > 0) if description is None else 0,
                description=description if number == 0 else None,
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                metadata=None,
                extratags=extra,
            )
    return path


def write_plain(path: Path, levels: list[NDArray[np.uint8]], **options: Any) -> Path:
    """Write a pyramid in any layout of tifffile's own."""
    big = options.pop("bigtiff", False)
    with tifffile.TiffWriter(path, bigtiff=big) as tif:
        for number, pixels in enumerate(levels):
            tif.write(
                pixels,
                subfiletype=int(number > 0),
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                **{"photometric": "rgb", "metadata": None, "tile": (TILE, TILE)}
                | options,
            )
    return path


def write_ome(path: Path, levels: list[NDArray[np.uint8]], **options: Any) -> Path:
    """Write an OME-TIFF that keeps its levels in SubIFDs."""
    options = {"tile": (TILE, TILE), "photometric": "rgb"} | options
    big = options.pop("bigtiff", False)
    metadata = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    with tifffile.TiffWriter(path, ome=True, bigtiff=big) as tif:
        tif.write(levels[0], subifds=len(levels) - 1, metadata=metadata, **options)
        for pixels in levels[1:]:
            tif.write(pixels, subfiletype=1, **options)
    return path


PHILIPS = """<?xml version="1.0" encoding="UTF-8" ?>
<DataObject ObjectType="DPUfsImport">
<Attribute Name="DICOM_MANUFACTURER" PMSVR="IString">PHILIPS</Attribute>
<Attribute Name="PIM_DP_SCANNED_IMAGES" PMSVR="IDataObjectArray"><Array>
<DataObject ObjectType="DPScannedImage">
<Attribute Name="PIM_DP_IMAGE_TYPE" PMSVR="IString">WSI</Attribute>
<Attribute Name="DICOM_PIXEL_SPACING">"0.0005" "0.0005"</Attribute>
<Attribute Name="PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE"><Array>
{levels}
</Array></Attribute></DataObject></Array></Attribute></DataObject>"""
PHILIPS_LEVEL = (
    '<DataObject ObjectType="PixelDataRepresentation"><Attribute '
    'Name="DICOM_PIXEL_SPACING">"{0:.6f}" "{0:.6f}"</Attribute></DataObject>'
)


def write_philips(path: Path, pixels: NDArray[np.uint8], count: int = 4) -> Path:
    """Write a pyramid in which every level is filled up with white to whole tiles."""
    spacings = [PHILIPS_LEVEL.format(0.0005 * 2**i) for i in range(count)]
    xml = PHILIPS.format(levels="\n".join(spacings))
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for number, level in enumerate(halves(pixels, count)):
            rest = [(0, -side % TILE) for side in level.shape[:2]]
            tif.write(
                np.pad(level, (*rest, (0, 0)), constant_values=255),
                tile=(TILE, TILE),
                photometric="ycbcr",
                compression="jpeg",
                subfiletype=int(number > 0),
                description=xml if number == 0 else f"level={number}",
                software="Philips DP v1.0",
                metadata=None,
            )
    return path


def halves(pixels: NDArray[np.uint8], count: int = 3) -> list[NDArray[np.uint8]]:
    """Levels in steps of two."""
    return [np.ascontiguousarray(pixels[:: 2**i, :: 2**i]) for i in range(count)]
