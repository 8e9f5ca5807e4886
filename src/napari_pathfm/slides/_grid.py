"""The tile grid: which squares of a slide an encoder sees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._raster import Raster, lay_raster
from napari_pathfm.slides._tissue import TissueMask, tissue_mask

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from napari_pathfm.slides._slide import Slide

# A tile is kept if at least this share of it (of what lies on the slide) is tissue.
MIN_TISSUE = 0.25

# A lattice beyond this is a slip of the pen: 100 million places are 1.2 GB of
# coordinates.
_MAX_CELLS = 100_000_000


@dataclass(frozen=True, eq=False)
class TileGrid:
    """Tiles of a slide, on a lattice.

    Attributes
    ----------
    coords : int32 array, shape (N, 2)
        Level-0 ``(x, y)`` of the tiles' top-left corners, row by row.
    cells : int32 array, shape (N, 2)
        ``(row, column)`` of each tile in the lattice.
    px : int
        Side of a tile in the pixels that the encoder sees.
    mpp : float
        Micrometres per such pixel, as asked for.
    tile_size : float
        Side of a tile in level-0 pixels.
    stride : int
        Level-0 pixels from one tile to the next.
    origin : (int, int)
        Level-0 ``(x, y)`` of the lattice's first corner.
    shape : (int, int)
        ``(rows, columns)`` of the lattice.
    mask : dict
        Parameters of the tissue mask, with ``min_tissue``; empty where there was none.
    step : int, optional
        Level-0 pixels from a tile to its neighbours, where pieces of tissue have
        lattices of their own: ``stride`` is then that of the finer lattice which holds
        them all, and most of its cells are empty. None where it is ``stride``.
    """

    coords: NDArray[np.int32]
    cells: NDArray[np.int32]
    px: int
    mpp: float
    tile_size: float
    stride: int
    origin: tuple[int, int]
    shape: tuple[int, int]
    mask: dict[str, Any]
    step: int | None = None

    def __len__(self) -> int:
        """Count the tiles."""
        return len(self.coords)

    def index_at(self, x: float, y: float) -> int | None:
        """Find the tile at a point.

        Parameters
        ----------
        x, y : float
            Level-0 pixels.

        Returns
        -------
        int or None
            The row in `coords` of the tile that holds the point (with overlapping
            tiles, the one whose centre is nearest), or None where there is none.
        """
        if not len(self.coords):
            return None
        half = self.tile_size / 2
        # Mostly the tile of the lattice's cell whose centre is nearest: found without
        # a look at all of them, as a slide may have a million.
        column, row = (
            math.floor((at - start - half) / self.stride + 0.5)
            for at, start in zip((x, y), self.origin, strict=True)
        )
        first, last = np.searchsorted(self.cells[:, 0], (row, row + 1))
        found = first + int(np.searchsorted(self.cells[first:last, 1], column))
        # Imported tiles are in their file's order: the search may then hit another.
        if found < last and (self.cells[found] == (row, column)).all():
            centre = self.coords[found] + half
            if max(abs(x - centre[0]), abs(y - centre[1])) <= half:
                return int(found)
        away = np.abs(self.coords + half - (x, y))
        away[(away > half).any(axis=1)] = np.inf
        distance = np.hypot(away[:, 0], away[:, 1])
        nearest = int(distance.argmin())
        return nearest if np.isfinite(distance[nearest]) else None

    @cached_property
    def raster(self) -> Raster:
        """Which tile each cell of a map shows."""
        return lay_raster(self)

    def to_attrs(self) -> dict[str, Any]:
        """Give everything but the tiles, JSON-serialisable, for `from_attrs`."""
        attrs = {
            "px": self.px,
            "mpp": self.mpp,
            "tile_size": self.tile_size,
            "stride": self.stride,
            "origin": list(self.origin),
            "shape": list(self.shape),
            "mask": dict(self.mask),
        }
        # Grids of one lattice are told as they ever were: stores compare them.
        return attrs if self.step is None else attrs | {"step": self.step}

    @classmethod
    def from_attrs(
        cls, attrs: Mapping[str, Any], cells: NDArray[np.integer[Any]]
    ) -> TileGrid:
        """Make the grid again from `to_attrs` and its cells, int ``(N, 2)``."""
        x, y = attrs["origin"]
        rows, columns = attrs["shape"]
        origin = (int(x), int(y))
        return cls(
            coords=_coords(np.asarray(cells), origin, int(attrs["stride"])),
            cells=np.asarray(cells, np.int32).reshape(-1, 2),
            px=int(attrs["px"]),
            mpp=float(attrs["mpp"]),
            tile_size=float(attrs["tile_size"]),
            stride=int(attrs["stride"]),
            origin=origin,
            shape=(int(rows), int(columns)),
            mask=dict(attrs["mask"]),
            step=None if attrs.get("step") is None else int(attrs["step"]),
        )


def tile_grid(
    slide: Slide,
    *,
    px: int = 224,
    mpp: float = 0.5,
    stride: float | None = None,
    tissue: bool | TissueMask = True,
    min_tissue: float = MIN_TISSUE,
) -> TileGrid:
    """Lay a lattice of tiles over a slide and keep those with tissue.

    The lattice starts at the slide's corner. A tile belongs to it if its centre lies on
    the slide: at the right and lower border up to half of a tile hangs over, and is
    white. A slide smaller than a tile has one.

    Parameters
    ----------
    slide : Slide
        Its mpp must be known.
    px : int
        Side of a tile in pixels at `mpp`.
    mpp : float
        Micrometres per pixel of a tile.
    stride : float, optional
        From one tile to the next, in pixels at `mpp`; `px` by default. Rounded to whole
        level-0 pixels, at least one.
    tissue : bool or TissueMask
        True finds the tissue; False keeps every tile; a mask found before is used as it
        is.
    min_tissue : float
        The least share of a tile (of its part on the slide) that is tissue.

    Returns
    -------
    TileGrid

    Raises
    ------
    MissingMppError
        The slide's pixel size is not known.
    SlideError
        An argument is not a positive number, or there would be over 100 million places.
    """
    if px < 1 or px != int(px):
        raise SlideError(f"a tile's side must be a positive whole number, not {px!r}")
    step = px if stride is None else stride
    if not (math.isfinite(step) and step > 0):
        raise SlideError(
            f"the stride must be a positive number of pixels, not {stride!r}"
        )
    sampling = slide.sampling(mpp)
    size = px * sampling.downsample
    level0_stride = max(1, math.floor(step * sampling.downsample + 0.5))
    width, height = slide.dimensions
    columns = max(1, math.ceil((width - size / 2) / level0_stride))
    rows = max(1, math.ceil((height - size / 2) / level0_stride))
    if rows * columns > _MAX_CELLS:
        raise SlideError(
            f"{slide.path.name}: a stride of {level0_stride} level-0 pixels gives "
            f"{rows * columns / 1e6:.0f} million tiles: choose a larger one"
        )
    cells = np.indices((rows, columns), np.int32).reshape(2, -1).T
    coords = _coords(cells, (0, 0), level0_stride)
    parameters: dict[str, Any] = {}
    if tissue is not False:
        mask = tissue_mask(slide) if tissue is True else tissue
        on_slide = np.prod(
            np.minimum(coords + size, slide.dimensions) - coords, axis=1
        ) / (size**2)
        keep = mask.covered_many(coords, size) >= min_tissue * on_slide - 1e-9
        cells, coords = cells[keep], coords[keep]
        parameters = {**mask.parameters, "min_tissue": min_tissue}
    return TileGrid(
        coords=coords,
        cells=cells,
        px=int(px),
        mpp=float(mpp),
        tile_size=float(size),
        stride=level0_stride,
        origin=(0, 0),
        shape=(rows, columns),
        mask=parameters,
    )


def _coords(
    cells: NDArray[np.integer[Any]], origin: tuple[int, int], stride: int
) -> NDArray[np.int32]:
    """Turn ``(row, column)`` into level-0 ``(x, y)``."""
    places = cells.reshape(-1, 2)[:, ::-1].astype(np.int64) * stride + origin
    return places.astype(np.int32)
