"""Every layout of TIFF that is decoded directly gives the right pixels.

OpenSlide is the judge where it reads the file; elsewhere what was written (lossless),
or what tifffile makes of all of the page at once.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
import pytest
import tifffile
from tiff_surgery import JPEG_TABLES, Surgery
from written_slides import (
    APERIO,
    halves,
    tissue,
    write_jpeg,
    write_ome,
    write_philips,
    write_plain,
)

from napari_pathfm import open_slide
from napari_pathfm.slides._colour import composite_on_white

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    Write = Callable[[Path, list[NDArray[np.uint8]]], Path]

MAX_DIFFERENCE = 2
DESCRIPTION = APERIO.format(500, 600)


def aperio(path: Path, levels: list[NDArray[np.uint8]], **options: Any) -> Path:
    return write_plain(path, levels, description=DESCRIPTION, **options)


def philips(path: Path, levels: list[NDArray[np.uint8]]) -> Path:
    # The first level is whole tiles, the others are not.
    return write_philips(path, levels[0][:384, :512])


# What is written, as OpenSlide names it, and whether it is lossless.
KNOWN: dict[str, tuple[Write, str, bool]] = {
    **{
        f"jpeg {part}, {'shared' if tables else 'own'} tables": (
            partial(write_jpeg, subsampling=part, tables=tables),
            "generic-tiff",
            False,
        )
        for part in ("420", "422", "444")
        for tables in (True, False)
    },
    "jpeg rgb": (partial(write_jpeg, rgb=True), "generic-tiff", False),
    "jpeg rgb, own tables": (
        partial(write_jpeg, rgb=True, tables=False),
        "generic-tiff",
        False,
    ),
    "jpeg progressive": (
        partial(write_jpeg, progressive=True, tables=False),
        "generic-tiff",
        False,
    ),
    "jpeg big": (partial(write_jpeg, big=True), "generic-tiff", False),
    "aperio jpeg": (partial(write_jpeg, description=DESCRIPTION), "aperio", False),
    "aperio jpeg rgb": (
        partial(write_jpeg, description=DESCRIPTION, rgb=True),
        "aperio",
        False,
    ),
    "aperio j2k rgb": (partial(aperio, compression=33005), "aperio", True),
    # The samples are taken for YCbCr: other colours, but the same on both sides.
    "aperio j2k ycbcr": (partial(aperio, compression=33003), "aperio", False),
    "philips": (philips, "philips", False),
    "raw": (write_plain, "generic-tiff", True),
    "raw big": (partial(write_plain, bigtiff=True), "generic-tiff", True),
    "deflate": (partial(write_plain, compression=8), "generic-tiff", True),
    "deflate big": (
        partial(write_plain, compression=8, bigtiff=True),
        "generic-tiff",
        True,
    ),
    "old deflate": (partial(write_plain, compression=32946), "generic-tiff", True),
    "lzw": (partial(write_plain, compression="lzw"), "generic-tiff", True),
    "lzw, predictor": (
        partial(write_plain, compression="lzw", predictor=2),
        "generic-tiff",
        True,
    ),
    "packbits": (partial(write_plain, compression="packbits"), "generic-tiff", True),
    "zstd": (partial(write_plain, compression="zstd"), "generic-tiff", True),
    "tiles not square": (
        partial(write_plain, compression="zlib", tile=(48, 208)),
        "generic-tiff",
        True,
    ),
}


@pytest.fixture(scope="module")
def levels() -> list[NDArray[np.uint8]]:
    return halves(tissue())


@pytest.mark.parametrize("name", KNOWN)
def test_pixels_are_openslides(
    name: str, tmp_path: Path, levels: list[NDArray[np.uint8]]
) -> None:
    write, vendor, lossless = KNOWN[name]
    path = write(tmp_path / "slide.tif", levels)
    judge = openslide.OpenSlide(path)
    rng = np.random.default_rng(0)

    def difference(x: int, y: int, level: int, size: tuple[int, int]) -> int:
        wanted = composite_on_white(
            np.asarray(judge.read_region((x, y), level, size))
        ).astype(np.int16)
        found = slide.read(x, y, *size, level=level)
        return int(np.abs(wanted - found).max())

    with open_slide(path) as slide:
        assert slide.vendor == vendor
        assert slide.backend == "direct", slide.reading
        assert len(slide.levels) == judge.level_count >= 3
        for level, own in enumerate(slide.levels):
            assert (own.width, own.height) == judge.level_dimensions[level]
            # All of it and beyond: edge tiles, and the white around them.
            size = own.width + 30, own.height + 30
            assert difference(0, 0, level, size) <= MAX_DIFFERENCE
            for x, y in rng.integers(-40, 500, (6, 2)).tolist():
                # Between pixels of the level both interpolate, and round once more.
                most = MAX_DIFFERENCE + (level > 0)
                assert difference(x, y, level, (97, 61)) <= most
        if lossless:
            np.testing.assert_array_equal(slide.read(0, 0, 600, 500), levels[0])


@pytest.mark.parametrize("big", [False, True], ids=["classic", "big"])
@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd", "jpeg", 33005])
def test_ome_levels_in_subifds(
    tmp_path: Path,
    levels: list[NDArray[np.uint8]],
    compression: str | int | None,
    big: bool,
) -> None:
    """OpenSlide does not see them; tifffile does."""
    path = tmp_path / "slide.ome.tif"
    write_ome(path, levels, compression=compression, bigtiff=big)
    surgery = Surgery(path)
    assert len(surgery.children) == 2
    with tifffile.TiffFile(path) as tif:
        assert tif.is_bigtiff == big
        wanted = [tif.series[0].levels[i].asarray() for i in range(3)]
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.vendor == "ome-tiff"
        assert [(one.width, one.height) for one in slide.levels] == [
            (600, 500),
            (300, 250),
            (150, 125),
        ]
        for level, pixels in enumerate(wanted):
            height, width = pixels.shape[:2]
            found = slide.read(0, 0, width, height, level=level).astype(int)
            assert np.abs(found - pixels).max() <= MAX_DIFFERENCE
            if compression != "jpeg":
                np.testing.assert_array_equal(found, levels[level])


@pytest.mark.parametrize("compression", ["lzma", "webp", 34712, 33005, 33003])
def test_codecs_that_openslide_lacks(
    tmp_path: Path, levels: list[NDArray[np.uint8]], compression: str | int
) -> None:
    path = write_plain(tmp_path / "slide.tif", levels, compression=compression)
    with open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.reading.endswith("OpenSlide does not read this file")
        found = [
            slide.read(0, 0, own.width, own.height, level=level)
            for level, own in enumerate(slide.levels)
        ]
    if compression != 33003:  # Aperio's YCbCr, which these samples are not
        for pixels, wanted in zip(found, levels, strict=True):
            np.testing.assert_array_equal(pixels, wanted)


def test_tables_are_shared_where_the_test_says_so(
    tmp_path: Path, levels: list[NDArray[np.uint8]]
) -> None:
    for tables in (True, False):
        path = write_jpeg(tmp_path / "slide.tif", levels, tables=tables)
        surgery = Surgery(path)
        assert (JPEG_TABLES in surgery.pages[0].tags) == tables
        offset, _ = surgery.tile(surgery.pages[0], 0)
        head = bytes(surgery.content[offset : offset + 4])
        assert head == (b"\xff\xd8\xff\xc0" if tables else b"\xff\xd8\xff\xe0")
