"""Objects painted into a plane of labels, and what was painted over since."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from shapely.geometry.base import BaseGeometry

#: Pixels of one plane at most, and of all planes of a file: twice 128 MiB.
LARGEST_PLANE, ALL_PLANES = 2**23, 2**26


@dataclass(frozen=True)
class Raster:
    """Objects as labels: object `n` has the value ``n + 1``.

    Attributes
    ----------
    labels : uint16 or int32 (rows, columns)
        As painted; never changed. napari shows 16 bits as they are, and translates
        wider ones with a compiler that takes seconds to start.
    origin : (x, y)
        Level-0 corner of the first pixel.
    stride : float
        Level-0 pixels per pixel.
    """

    labels: npt.NDArray[Any]
    origin: tuple[float, float]
    stride: float

    def places(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return data coordinates ``(row, column)`` of level-0 ``(x, y)``."""
        steps = (xy - np.asarray(self.origin, dtype=np.float64)) / self.stride
        return steps[..., ::-1] - 0.5


def rasterize(
    geometries: Sequence[BaseGeometry], *, largest: int = LARGEST_PLANE
) -> Raster:
    """Paint polygons, the largest first.

    Parameters
    ----------
    geometries : sequence of polygons
        Level-0 pixels.
    largest : int
        Pixels of the plane at most; it is as coarse as it must be for that.

    Returns
    -------
    Raster
        Equal squares on a lattice have one pixel each. Otherwise a pixel is whole
        level-0 pixels wide; a small object still has one, unless a smaller one lies on
        it.
    """
    import shapely
    from PIL import Image, ImageDraw

    shapes = np.asarray(geometries, dtype=object)
    # A few values are left for what a person paints.
    kind = np.uint16 if len(shapes) < 65_000 else np.int32
    boxes = shapely.bounds(shapes)
    if (lattice := _lattice(boxes, shapely.area(shapes))) is not None:
        columns, rows, stride = lattice
        if (rows.max() + 1) * (columns.max() + 1) <= largest:
            labels = np.zeros((rows.max() + 1, columns.max() + 1), kind)
            labels[rows, columns] = np.arange(1, len(shapes) + 1)
            return Raster(labels, (boxes[:, 0].min(), boxes[:, 1].min()), stride)
    left, top = np.floor(boxes[:, :2].min(axis=0))
    width, height = np.ceil(boxes[:, 2:].max(axis=0)) - (left, top)
    stride = 1.0
    while np.ceil(width / stride) * np.ceil(height / stride) > largest:
        stride += 1.0 if stride < 64 else np.ceil(stride / 32)
    size = (max(1, int(np.ceil(width / stride))), max(1, int(np.ceil(height / stride))))
    image = Image.new("I", size)
    draw = ImageDraw.Draw(image)
    order = np.argsort(-shapely.area(shapes), kind="stable")
    parts, owners = shapely.get_parts(shapes[order], return_index=True)
    rings, parents = shapely.get_rings(parts, return_index=True)
    places, ends = shapely.get_coordinates(rings, return_index=True)
    # PIL counts from the centre of its first pixel.
    places = (places - (left, top)) / stride - 0.5
    outer = np.diff(parents, prepend=-1) > 0
    fills = np.where(outer, order[owners[parents]] + 1, 0).tolist()
    cuts = np.searchsorted(ends, np.arange(len(rings) + 1)).tolist()
    flat = places.ravel().tolist()
    for ring, fill in enumerate(fills):
        draw.polygon(flat[2 * cuts[ring] : 2 * cuts[ring + 1]], fill=fill)
    return Raster(np.asarray(image).astype(kind), (float(left), float(top)), stride)


def repaint(
    raster: Raster,
    labels: npt.NDArray[Any],
    geometries: Sequence[BaseGeometry],
    level0: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]],
) -> tuple[dict[int, BaseGeometry | None], dict[int, BaseGeometry]]:
    """Compare a plane with how it was painted.

    Parameters
    ----------
    raster : Raster
    labels : int array
        Of the same shape, now.
    geometries : sequence of polygons
        The objects as they were.
    level0 : callable
        Takes data coordinates ``(row, column)`` to level-0 ``(x, y)``.

    Returns
    -------
    changed : dict of int to polygon or None
        By the object's number: what was painted added, what was erased taken away,
        and None where nothing is left of it.
    new : dict of int to polygon
        By value: labels that no object had.
    """
    import shapely

    rows, columns = np.nonzero(labels != raster.labels)
    before, after = raster.labels[rows, columns], labels[rows, columns]
    left = set(np.unique(labels).tolist())
    corners = np.stack([rows, columns], axis=1).astype(np.float64)
    ends = level0(corners - 0.5), level0(corners + 0.5)
    squares = shapely.box(*ends[0].T, *ends[1].T) if len(rows) else np.array([])
    changed: dict[int, BaseGeometry | None] = {}
    new: dict[int, BaseGeometry] = {}
    for value in {*before.tolist(), *after.tolist()} - {0}:
        added = shapely.union_all(squares[after == value])
        if not 0 < value <= len(geometries):
            if added.area:
                new[value] = added
        elif value not in left:
            changed[value - 1] = None
        else:
            erased = shapely.union_all(squares[before == value])
            whole = geometries[value - 1].union(added).difference(erased)
            polygons = [p for p in shapely.get_parts(whole) if p.geom_type == "Polygon"]
            changed[value - 1] = shapely.union_all(polygons) if polygons else None
    return changed, new


def _lattice(
    boxes: npt.NDArray[np.float64], areas: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], float] | None:
    """Return columns, rows and side where all are equal squares, each on its own."""
    sides = boxes[:, 2:] - boxes[:, :2]
    stride = float(sides[0, 0])
    if stride <= 0 or not np.allclose(sides, stride, atol=1e-3):
        return None
    steps = (boxes[:, :2] - boxes[:, :2].min(axis=0)) / stride
    cells = np.round(steps).astype(np.int64)
    if not np.allclose(steps, cells, atol=1e-3) or not np.allclose(areas, stride**2):
        return None
    if len(np.unique(cells, axis=0)) < len(cells):
        return None
    return cells[:, 0], cells[:, 1], stride
