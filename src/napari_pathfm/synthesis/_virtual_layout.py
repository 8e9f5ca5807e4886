"""How a virtual slide is cut into chunks, and which windows each is made from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterator

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
#: What stands where there is no tissue.
GLASS = 243


@dataclass(frozen=True)
class Chunk:
    """One block of a virtual slide, counted from its top-left corner."""

    row: int
    column: int


@dataclass(frozen=True)
class ChunkArea:
    """What is generated for a chunk, in latent cells: more than the chunk.

    Attributes
    ----------
    shape : (int, int)
        Rows and columns.
    starts : list of (int, int)
        Of the windows, within it.
    conditions : ndarray
        float32, a row a window.
    place : (int, int)
        Of its corner, from the slide's.
    """

    shape: tuple[int, int]
    starts: list[tuple[int, int]]
    conditions: NDArray[np.float32]
    place: tuple[int, int]


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

    def plan(
        self,
        rows: NDArray[np.floating[Any]],
        columns: NDArray[np.floating[Any]],
        tissue: tuple[int, int, int],
    ) -> NDArray[np.uint8]:
        """Draw where there is tissue to be made, uint8 ``(rows, columns, 3)``.

        Parameters
        ----------
        rows, columns : ndarray
            Places in pixels, from the slide's corner.
        tissue : (int, int, int)
            Its colour.
        """
        drawing = np.full((len(rows), len(columns), 3), GLASS, np.uint8)
        there = self._conditions.tissue(columns * self.stride, rows * self.stride)
        drawing[there] = tissue
        return drawing

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

    def area(self, chunk: Chunk) -> ChunkArea:
        """Lay out the windows that a chunk with tissue is made from."""
        windows = self._windows(chunk, MARGIN)
        first = [min(window[axis] for window in windows) for axis in (0, 1)]
        step, side = self._step, self._lattice.side
        starts = [((r - first[0]) * step, (c - first[1]) * step) for r, c in windows]
        rows, columns = (max(s[axis] for s in starts) + side for axis in (0, 1))
        told = [self._told(window) for window in windows]
        return ChunkArea(
            (rows, columns),
            starts,
            np.stack([row for row in told if row is not None]),
            (first[0] * step, first[1] * step),
        )

    def cut(
        self, chunk: Chunk, area: ChunkArea, made: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        """Cut a chunk out of its area's pixels; where no window lies is glass."""
        lattice, step = self._lattice, self._step
        high, wide = self.size_of(chunk)
        pixels = np.full((high, wide, 3), GLASS, np.uint8)
        top = (area.place[0] - chunk.row * CHUNK * step) * lattice.px
        left = (area.place[1] - chunk.column * CHUNK * step) * lattice.px
        r0, c0 = max(0, top), max(0, left)
        inside = (slice(r0 - top, high - top), slice(c0 - left, wide - left))
        part = made[inside]
        covered = np.zeros(made.shape[:2], bool)
        for r, c in (np.array(area.starts) * lattice.px).tolist():
            covered[r : r + lattice.tile_px, c : c + lattice.tile_px] = True
        place = pixels[r0 : r0 + part.shape[0], c0 : c0 + part.shape[1]]
        place[covered[inside]] = part[covered[inside]]
        return pixels

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
