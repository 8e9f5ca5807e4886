"""How a virtual slide is cut into chunks, and which windows each is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.generators import Provenance
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice
    from napari_pathfm.synthesis._virtual_conditions import StoredConditions

    Box = tuple[float, float, float, float]

#: Of a tile's side, from one window to the next.
STRIDE = 0.75
#: Windows along a chunk's side that belong to it alone.
CHUNK = 3
#: Rings of windows around those that touch a chunk: they are made with it and go.
MARGIN = 1


@dataclass(frozen=True)
class Chunk:
    """One block of a virtual slide, counted from its top-left corner."""

    row: int
    column: int


class ChunkLayout:
    """Chunks and windows over a slide; `VirtualSlide` says what its attributes are.

    Parameters
    ----------
    lattice : Lattice
        The generator's over the slide.
    conditions : StoredConditions
        Where there is tissue.
    slide : Slide
        Its size counts.
    """

    def __init__(
        self, lattice: Lattice, conditions: StoredConditions, slide: Slide
    ) -> None:
        self._lattice = lattice
        self._conditions = conditions
        self._step = round(STRIDE * lattice.side)
        self.stride = lattice.pixel
        width, height = slide.dimensions
        self.shape = (
            math.ceil(height / self.stride - 1e-6),
            math.ceil(width / self.stride - 1e-6),
        )
        self.chunk_px = CHUNK * self._step * lattice.px
        self.chunks = (
            math.ceil(self.shape[0] / self.chunk_px),
            math.ceil(self.shape[1] / self.chunk_px),
        )
        self._glass: dict[Chunk, bool] = {}

    @property
    def window_step(self) -> int:
        """Latent cells from one window to the next."""
        return self._step

    def all_chunks(self) -> Iterator[Chunk]:
        """Go through the chunks row by row."""
        for row in range(self.chunks[0]):
            for column in range(self.chunks[1]):
                yield Chunk(row, column)

    def size_of(self, chunk: Chunk) -> tuple[int, int]:
        """Height and width of a chunk: less at the slide's end."""
        side = self.chunk_px
        return (
            min(side, self.shape[0] - chunk.row * side),
            min(side, self.shape[1] - chunk.column * side),
        )

    def is_glass(self, chunk: Chunk) -> bool:
        """Whether a chunk has no tissue: it is made without the network."""
        found = self._glass.get(chunk)
        if found is None:
            found = self._glass[chunk] = not self._windows(chunk, 0)
        return found

    def part(self, box: Box) -> tuple[int, int, int, int]:
        """Give the pixels that hold a level-0 box: ``(x, y, width, height)``."""
        x, y, width, height = box
        left, top = (math.floor(at / self.stride + 1e-6) for at in (x, y))
        right = math.ceil((x + width) / self.stride - 1e-6)
        bottom = math.ceil((y + height) / self.stride - 1e-6)
        high, wide = self.shape
        return left, top, min(right, wide) - left, min(bottom, high) - top

    def chunks_of(self, part: tuple[int, int, int, int]) -> list[Chunk]:
        """Give the chunks that hold some pixels ``(x, y, width, height)``."""
        x, y, width, height = part
        side = self.chunk_px
        return [
            Chunk(row, column)
            for row in range(y // side, (y + height - 1) // side + 1)
            for column in range(x // side, (x + width - 1) // side + 1)
        ]

    def _windows(self, chunk: Chunk, margin: int) -> list[tuple[int, int]]:
        """Numbers of the windows on tissue that a chunk is made from, row by row.

        Without margin those that touch it.
        """
        reach = math.ceil(self._lattice.side / self._step) - 1
        spans = [
            range(at * CHUNK - reach - margin, (at + 1) * CHUNK + margin)
            for at in (chunk.row, chunk.column)
        ]
        found = ((r, c) for r in spans[0] for c in spans[1])
        return [window for window in found if self._told(window) is not None]

    def _told(self, window: tuple[int, int]) -> NDArray[np.float32] | None:
        cell = self._lattice.cell
        y, x = ((at * self._step + self._lattice.side / 2) * cell for at in window)
        return self._conditions.at(x, y)


def check_virtual(provenance: Provenance, step: int) -> None:
    """Refuse a virtual slide that was laid out as this version does not.

    Parameters
    ----------
    provenance : Provenance
        What it says of itself.
    step : int
        Cells from one window to the next, as they would be now.

    Raises
    ------
    PathfmError
        Naming what differs.
    """
    for name, here in (("chunk", CHUNK), ("margin", MARGIN), ("window_step", step)):
        told = provenance.details.get(name)
        if told != here:
            raise PathfmError(
                f"the virtual slide was laid out otherwise than this version does "
                f"({name} {told}, here {here}): it cannot be made again"
            )
