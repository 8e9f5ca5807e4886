"""What a TIFF says of itself: is it a slide, what are its levels, how big a pixel."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from napari_pathfm.slides._levels import Level
from napari_pathfm.slides._mpp import plausible, positive

if TYPE_CHECKING:
    from tifffile import TiffFile, TiffPage

# Micrometres per unit, as OME and ImageJ spell them. "pixel" and "reference frame" are
# no lengths and have no entry.
MICROMETRES = {
    "m": 1e6,
    "cm": 1e4,
    "mm": 1e3,
    "µm": 1.0,  # micro sign
    "μm": 1.0,  # Greek mu
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "nm": 1e-3,
    "in": 25_400.0,
    "inch": 25_400.0,
}

# None, LZW, old and new JPEG, deflate (twice), PackBits, JPEG 2000 (Aperio's two, and
# plain), LZMA, Zstandard, WebP. What slides use, and nothing whose decoder would take
# a forged size at its word.
_COMPRESSIONS = frozenset(
    (1, 5, 6, 7, 8, 32773, 32946, 33003, 33005, 34712, 34925, 50000, 50001)
)

# A page counts as a level if both sides shrink alike; rounding costs a pixel or two.
_ASPECT_TOLERANCE = 0.02


def refusal(page: TiffPage) -> str | None:
    """Say why a page cannot be shown as a slide, or None where it can.

    Returns
    -------
    str or None
        A clause without a subject, fit for an error message.
    """
    samples = page.samplesperpixel
    way_out = "only 8-bit RGB slides are supported: convert it to RGB"
    if page.dtype is None or page.dtype.kind != "u" or page.dtype.itemsize != 1:
        kind = "no" if page.dtype is None else str(page.dtype)
        return f"has {kind} pixels; {way_out}"
    if samples not in (3, 4):
        channels = "1 channel" if samples == 1 else f"{samples} channels"
        return f"has {channels} (fluorescence?); {way_out}"
    if page.photometric not in (2, 6):  # RGB, YCbCr
        name = getattr(page.photometric, "name", page.photometric)
        return f"has {name} colours; {way_out}"
    if page.compression not in _COMPRESSIONS:
        name = getattr(page.compression, "name", page.compression)
        return f"is compressed by {name}, which is not supported; {way_out} in JPEG"
    if page.imagedepth != 1:
        return f"is a volume; {way_out} planes"
    return None


def level_pages(tif: TiffFile) -> list[TiffPage]:
    """Pick the pages that are one picture at falling resolutions, the largest first.

    They are the first page, its SubIFDs (OME-TIFF), and those later pages that are
    tiled as it is and have its shape (generic pyramids, SVS); label, macro and
    thumbnail are not.
    """
    from tifffile import TiffPage

    first = tif.pages.first
    # An OME-TIFF keeps its levels in SubIFDs; later pages are other planes or pictures.
    later = [] if tif.is_ome else [tif.pages[i] for i in range(1, len(tif.pages))]
    levels = [first]
    for page in [*(first.pages or ()), *later]:
        if not isinstance(page, TiffPage) or refusal(page) is not None:
            continue
        if page.is_tiled != first.is_tiled:
            continue
        if page.subfiletype & 0b1100:  # a mask, an SVS macro
            continue
        last = levels[-1]
        if page.imagewidth >= last.imagewidth or page.imagelength >= last.imagelength:
            continue
        across = first.imagewidth / page.imagewidth
        down = first.imagelength / page.imagelength
        slack = _ASPECT_TOLERANCE + 1 / min(page.imagewidth, page.imagelength)
        if abs(across / down - 1) <= slack:
            levels.append(page)
    return levels


def pages_of_sizes(
    tif: TiffFile, sizes: list[tuple[int, int]]
) -> list[TiffPage] | None:
    """Find one tiled RGB page of each ``(width, height)``; None where one is missing.

    Where several pages have the size, as the planes of a stack do, none is the one.
    """
    from tifffile import TiffPage

    found: dict[tuple[int, int], list[TiffPage]] = {}
    for page in (tif.pages[i] for i in range(len(tif.pages))):
        if isinstance(page, TiffPage) and page.is_tiled and refusal(page) is None:
            size = page.imagewidth, page.imagelength
            found.setdefault(size, []).append(page)
    pages = [found.get(size, []) for size in sizes]
    return [own[0] for own in pages] if all(len(own) == 1 for own in pages) else None


def padded_pages(tif: TiffFile, sizes: list[tuple[int, int]]) -> list[TiffPage] | None:
    """Find the pages of levels ``(width, height)`` that are filled up to whole tiles.

    Philips' slides say the padded size of every level and have no other tiled pages.
    """
    from tifffile import TiffPage

    every = [tif.pages[i] for i in range(len(tif.pages))]
    pages = [page for page in every if isinstance(page, TiffPage) and page.is_tiled]
    if len(pages) != len(sizes):
        return None
    for page, (width, height) in zip(pages, sizes, strict=True):
        spare = page.imagewidth - width, page.imagelength - height
        fits = 0 <= spare[0] < page.tilewidth and 0 <= spare[1] < page.tilelength
        if not fits or refusal(page) is not None:
            return None
    return pages


def level_facts(pages: list[TiffPage]) -> tuple[Level, ...]:
    """Give the levels' sizes and downsamples, as OpenSlide reckons them."""
    width, height = pages[0].imagewidth, pages[0].imagelength
    return tuple(
        Level(
            page.imagewidth,
            page.imagelength,
            (width / page.imagewidth + height / page.imagelength) / 2,
        )
        for page in pages
    )


def stated_mpp(tif: TiffFile) -> tuple[float, float] | None:
    """Find the pixel size ``(across, down)`` in micrometres, or None."""
    page = tif.pages.first
    if tif.is_ome:
        found = _ome_mpp(tif.ome_metadata or "")
        if found is not None:
            return found
    if tif.is_svs:
        mpp = positive(_aperio(page.description, "MPP"))
        return None if mpp is None else (mpp, mpp)
    unit: float | None = None
    if tif.is_imagej:
        unit = MICROMETRES.get(str((tif.imagej_metadata or {}).get("unit", "")).strip())
    if unit is None:
        unit = {2: 25_400.0, 3: 10_000.0}.get(int(page.resolutionunit))
    across, down = (positive(value) for value in page.resolution)
    if unit is None or across is None or down is None:
        return None
    sides = unit / across, unit / down
    return sides if plausible(sides[0]) and plausible(sides[1]) else None


def objective_power(tif: TiffFile) -> float | None:
    """Find the objective's magnification, or None."""
    if tif.is_svs:
        return positive(_aperio(tif.pages.first.description, "AppMag"))
    if tif.is_ome:
        found = re.search(r'NominalMagnification="([^"]+)"', tif.ome_metadata or "")
        return positive(found.group(1)) if found else None
    return None


def vendor(tif: TiffFile) -> str:
    """Name the family of the file, in OpenSlide's words where it has one."""
    if tif.is_ome:
        return "ome-tiff"
    if tif.is_svs:
        return "aperio"
    return "imagej" if tif.is_imagej else "generic-tiff"


def _ome_mpp(xml: str) -> tuple[float, float] | None:
    """Read the first image's PhysicalSizeX and Y.

    By pattern rather than by parser: the text comes from a stranger, and two attributes
    of one element need no entity expansion.
    """
    element = re.search(r"<(?:\w+:)?Pixels\b[^>]*>", xml)
    if element is None:
        return None
    sides = []
    for axis in "XY":
        size = re.search(rf'\bPhysicalSize{axis}="([^"]+)"', element.group())
        unit = re.search(rf'\bPhysicalSize{axis}Unit="([^"]+)"', element.group())
        factor = MICROMETRES.get(_plain(unit.group(1))) if unit else 1.0
        value = positive(size.group(1)) if size else None
        if value is None or factor is None:
            return None
        sides.append(value * factor)
    return sides[0], sides[1]


def _plain(unit: str) -> str:
    """Undo the character references in which some writers put the micro sign."""
    return re.sub(r"&#(?:xB5|181|x3BC|956);", "u", unit, flags=re.IGNORECASE)


def _aperio(description: str, key: str) -> str | None:
    """Read ``key = value`` from Aperio's description."""
    found = re.search(rf"\|{key} = ([^|\s]+)", description)
    return found.group(1) if found else None


def colour_profile(page: TiffPage) -> bytes | None:
    """Give a page's ICC profile, or None."""
    found = page.tags.valueof(34675)
    return bytes(found) if found else None
