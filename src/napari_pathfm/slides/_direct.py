"""Tiles decoded without OpenSlide, wherever that gives OpenSlide's own pixels.

OpenSlide reads a region by way of a drawing library, which costs several times what
decoding costs. So what OpenSlide knows of a file is taken from it, and the pixels from
the tiles themselves, but only after both have been compared on this very file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _tiffmeta as meta
from napari_pathfm.slides._levels import BackendName, start_of
from napari_pathfm.slides._tiles import TiffTiles

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._openslide import OpenSlideBackend

# Two decoders of the same JPEG may round differently; more is another picture.
MAX_DIFFERENCE = 2

# Side of the squares that are compared.
_SQUARE = 256


class DirectBackend:
    """A file that OpenSlide knows, with its pixels from the tiles themselves.

    Parameters
    ----------
    reference : OpenSlideBackend
        What OpenSlide knows of the file; stays open for its associated images.
    tiles : TiffTiles
        Of the same levels.
    places : int
        On how many squares both agreed.
    """

    name: BackendName = "direct"

    def __init__(
        self, reference: OpenSlideBackend, tiles: TiffTiles, places: int
    ) -> None:
        self._reference = reference
        self.tiles = tiles
        self.tile_sizes = tiles.sizes
        self.vendor = reference.vendor
        self.levels = reference.levels
        self.mpp = reference.mpp
        self.objective = reference.objective
        self.associated = reference.associated
        self.icc_profile = reference.icc_profile
        self.reading = (
            f"tiles decoded directly, equal to OpenSlide's pixels at {places} places"
        )

    def use_profile(self, apply: ToSrgb) -> None:
        """Give all colours by a transform from now on."""
        self.tiles.use_profile(apply)

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read pixels as OpenSlide would: interpolated between the level's pixels."""
        return self.tiles.read(level, x, y, width, height)

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an associated image; `KeyError` where there is none."""
        return self._reference.read_associated(name)

    def close(self) -> None:
        """Let the file go."""
        self._reference.close()
        self.tiles.close()


def read_directly(
    path: Path, reference: OpenSlideBackend, *, scaled: bool
) -> DirectBackend | str:
    """Find out whether the tiles of a file can be decoded directly.

    Parameters
    ----------
    path : Path
        A file that OpenSlide has opened.
    reference : OpenSlideBackend
        Its levels and pixels are the ones to meet.
    scaled : bool
        Whether tiles may shrink while they are decoded.

    Returns
    -------
    DirectBackend, or str
        Why OpenSlide has to read the file, for people.
    """
    try:
        tiles = _find_tiles(path, reference, scaled=scaled)
    except SlideError as error:
        return str(error)
    places = 0
    for level in range(len(reference.levels)):
        for index in _sampled(tiles, level):
            difference = _difference(reference, tiles, level, index)
            if difference is None:
                continue
            if difference > MAX_DIFFERENCE:
                tiles.close()
                return f"decoded directly, its pixels differ by {difference} of 255"
            places += 1
    if not places:
        tiles.close()
        return "no place to compare both ways of reading could be read"
    return DirectBackend(reference, tiles, places)


def _find_tiles(path: Path, reference: OpenSlideBackend, *, scaled: bool) -> TiffTiles:
    """Find the tiles of OpenSlide's levels, or say why there are none."""
    import tifffile

    try:
        with tifffile.TiffFile(path) as tif:
            if meta.refusal(tif.pages.first) or not tif.pages.first.is_tiled:
                raise SlideError("no tiled RGB TIFF")
            sizes = [(level.width, level.height) for level in reference.levels]
            pages = meta.pages_of_sizes(tif, sizes)
            if pages is None and reference.vendor == "philips":
                pages = meta.padded_pages(tif, sizes)
            if pages is None:
                raise SlideError("its levels are no plain pages of a TIFF")
            return TiffTiles(path, pages, reference.levels, scaled=scaled)
    except SlideError:
        raise
    except Exception as error:  # tifffile raises whatever a strange file leads to
        raise SlideError("no TIFF whose tiles can be found") from error


def _sampled(tiles: TiffTiles, level: int) -> list[int]:
    """Choose the tile with most to see, and the one at the far corner."""
    across, down = tiles.lattice(level)
    return sorted({tiles.longest(level), across * down - 1})


def _difference(
    reference: OpenSlideBackend, tiles: TiffTiles, level: int, index: int
) -> int | None:
    """Compare a square at a tile's corner; None where neither can read it."""
    across, _ = tiles.lattice(level)
    row, column = divmod(index, across)
    own = reference.levels[level].downsample
    x = start_of(column * tiles.sizes[level][0], own)
    y = start_of(row * tiles.sizes[level][1], own)
    pixels: list[NDArray[np.uint8]] = []
    for reader in (reference, tiles):
        try:
            pixels.append(reader.read(level, x, y, _SQUARE, _SQUARE))
        except SlideError:
            continue
    if len(pixels) < 2:
        # Damaged for both: no reason against either. For one alone: a disagreement.
        return None if not pixels else 255
    wanted, found = (p.astype(np.int16) for p in pixels)
    return int(np.abs(wanted - found).max())
