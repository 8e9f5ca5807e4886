"""The tifffile backend: tiled TIFF, OME-TIFF with SubIFDs, plain TIFF if not huge."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _tiffmeta as meta
from napari_pathfm.slides._regions import CONVERT
from napari_pathfm.slides._tiffcheck import MAX_TILE_PIXELS
from napari_pathfm.slides._tiles import TiffTiles, reason

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from tifffile import TiffPage

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._levels import BackendName

# A TIFF without tiles is read by strips, which suits a picture but not a slide.
MAX_PLAIN_PIXELS = 400_000_000

# One strip is decoded as a whole, and some writers put everything into one.
MAX_SEGMENT_PIXELS = MAX_TILE_PIXELS

# Without a handler of its own Python prints tifffile's grumbling about a damaged file
# to stderr, beside the one clear line that we raise.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


class TifffileBackend:
    """One TIFF, decoded tile by tile."""

    name: BackendName = "tifffile"

    def __init__(self, path: Path, *, scaled: bool = True) -> None:
        import tifffile

        self._path = path
        try:
            with tifffile.TiffFile(path) as tif:
                self._check(tif.pages.first)
                pages = meta.level_pages(tif)
                self.levels = meta.level_facts(pages)
                self.vendor = meta.vendor(tif)
                self.mpp = meta.stated_mpp(tif)
                self.objective = meta.objective_power(tif)
                self.icc_profile = meta.colour_profile(tif.pages.first)
                self.tiles = TiffTiles(path, pages, self.levels, scaled=scaled)
        except SlideError:
            raise
        except Exception as error:  # tifffile raises whatever the damage leads to
            raise SlideError(
                f"{path.name} is no TIFF that can be read ({reason(error)}): check "
                "that it is a slide, or copy it again from its source"
            ) from error
        self.tile_sizes = self.tiles.sizes
        self.associated: tuple[str, ...] = ()
        self.reading = "tiles decoded directly; OpenSlide does not read this file"

    def _check(self, page: TiffPage) -> None:
        """Refuse what is no bright-field slide, or would fill the memory."""
        problem = meta.refusal(page)
        if problem is not None:
            raise SlideError(f"{self._path.name} {problem}")
        pixels = page.imagewidth * page.imagelength
        if not page.is_tiled and pixels > MAX_PLAIN_PIXELS:
            raise SlideError(
                f"{self._path.name} is a TIFF without tiles of {pixels / 1e6:.0f} "
                f"megapixels; over {MAX_PLAIN_PIXELS / 1e6:.0f} it must be tiled: "
                f"{CONVERT}"
            )
        segment = math.prod(page.chunks[:2])
        if segment > MAX_SEGMENT_PIXELS:
            raise SlideError(
                f"{self._path.name} keeps {segment / 1e6:.0f} megapixels in one piece; "
                f"over {MAX_SEGMENT_PIXELS / 1e6:.0f} it must be tiled: {CONVERT}"
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
        """Raise `KeyError`: this backend reads the levels only."""
        raise KeyError(name)

    def close(self) -> None:
        """Let the file go."""
        self.tiles.close()
