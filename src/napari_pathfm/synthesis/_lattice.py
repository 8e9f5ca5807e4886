"""A slide as a lattice of latent cells, counted from its corner.

Whatever is made of the same slide lies on the same lattice, so that areas that overlap
share their cells, their noise and their windows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.synthesis._fidelity import embed_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, LatentFlow
    from napari_pathfm.slides import Slide

    Box = tuple[float, float, float, float]
    Cells = tuple[int, int]

# Tiles that are encoded at a time.
_BATCH = 16


@dataclass(frozen=True)
class Lattice:
    """Latent cells of a slide.

    Attributes
    ----------
    pixel : float
        Level-0 pixels per pixel that the generator makes.
    mpp : float
        That pixel as it is asked of the slide, in micrometres.
    px : int
        Pixels per cell, along each side.
    side : int
        Cells of a tile, along each side.
    """

    pixel: float
    mpp: float
    px: int
    side: int

    @property
    def cell(self) -> float:
        """Level-0 pixels per cell, along each side."""
        return self.pixel * self.px

    @property
    def tile_px(self) -> int:
        """Pixels of a tile, along each side."""
        return self.side * self.px

    def box(self, row: int, column: int, height: int, width: int) -> Box:
        """Level-0 ``(x, y, width, height)`` of some cells."""
        cell = self.cell
        return column * cell, row * cell, width * cell, height * cell

    def read(
        self, slide: Slide, row: int, column: int, height: int, width: int
    ) -> NDArray[np.uint8]:
        """Read some cells' pixels, uint8 ``(height * px, width * px, 3)``."""
        x, y, _, _ = self.box(row, column, height, width)
        return slide.read(x, y, width * self.px, height * self.px, mpp=self.mpp)

    def encode(
        self, slide: Slide, encoder: Encoder, tiles: Sequence[Cells]
    ) -> NDArray[np.float32]:
        """CLS of the real tiles that begin at some cells, float32 ``(N, D)``."""
        found = []
        for first in range(0, len(tiles), _BATCH):
            pixels = [
                self.read(slide, r, c, self.side, self.side)
                for r, c in tiles[first : first + _BATCH]
            ]
            found.append(embed_tiles(encoder, pixels))
        return np.concatenate(found)


def lattice_of(slide: Slide, generator: Generator, flow: LatentFlow) -> Lattice:
    """Lay a generator's lattice over a slide.

    Raises
    ------
    MissingMppError
        If the slide's pixel size is unknown.
    """
    spec = generator.spec
    tile_px = flow.side * flow.downsample
    # A generator may make more or fewer pixels than its tile is said to have.
    mpp = spec.mpp * spec.tile_px / tile_px
    pixel = slide.sampling(mpp).downsample
    return Lattice(pixel, mpp, flow.downsample, flow.side)


def check_memory(pixels: int) -> None:
    """Refuse an area that would not fit into the memory that is free.

    Raises
    ------
    PathfmError
        Saying how much it needs and how much there is.
    """
    import psutil

    # Real and made pixels and what is written of them, and latents several times over.
    needed, free = 20 * pixels, psutil.virtual_memory().available
    if needed > free:
        raise PathfmError(
            f"an area of {pixels / 1e6:,.0f} megapixels needs about "
            f"{needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} are free: "
            "choose a smaller one"
        )
