"""Which patches a person means: by a click, or by an outline."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import OutsideSlideError
from napari_pathfm.heatmaps._places import as_geometry, named

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.heatmaps._patches import PatchVectors
    from napari_pathfm.heatmaps._places import Place

    #: By the row of a tile: bool ``(side, side)``.
    Masks = dict[int, NDArray[np.bool_]]

# A click means the 3 x 3 patches about it, 21 um: on CMU-1-Small-Region that parts
# epidermis from dermis better than the one patch does, which may be a nucleus or a gap.
_CLICK_PATCHES = 1
# Tiles that a drawn region is taken from; more would say the same and take longer.
_REGION_TILES = 16


def patches_under(patches: PatchVectors, place: Place) -> Masks:
    """Find the patches under a place.

    Parameters
    ----------
    patches : PatchVectors
        Of the slide.
    place : (x, y), outline or shapely geometry
        Level-0 pixels. A point means the 3 x 3 patches about it, less glass; an outline
        the tissue whose patches have their centres in it, of 16 of its tiles at most,
        or where it holds none, what its own centre means.

    Returns
    -------
    dict of int to bool array, (side, side)
        By the tile's row in ``patches.grid``; at least one patch.

    Raises
    ------
    OutsideSlideError
        There is no tissue tile.
    """
    geometry = as_geometry(place)
    found: Masks = {}
    if geometry.geom_type == "MultiPoint":
        for point in geometry.geoms:
            for row, mask in _about(patches, point.x, point.y).items():
                found[row] = found.get(row, False) | mask
    elif geometry.geom_type == "Point":
        found = _about(patches, geometry.x, geometry.y)
    else:
        found = _inside(patches, geometry)
        if not found:
            middle = geometry.representative_point()
            found = _about(patches, middle.x, middle.y)
    if not found:
        raise OutsideSlideError(
            f"there is no tissue tile at {named(place)}: "
            "choose a place on tissue, in level-0 pixels"
        )
    return found


def _about(patches: PatchVectors, x: float, y: float) -> Masks:
    from napari_pathfm.slides import MIN_TISSUE

    clicked = patches.grid.index_at(x, y)
    if clicked is None:
        return {}
    spans = []
    for at, start, count in zip(
        (y, x), patches.origin[::-1], patches.shape, strict=True
    ):
        middle = int((at - start) // patches.stride)
        low = max(0, middle - _CLICK_PATCHES)
        spans.append(slice(low, min(count, middle + _CLICK_PATCHES + 1)))
    whole: Masks = {}
    for row in patches.rows_in((spans[0], spans[1])).tolist():
        corner = (patches.grid.cells[row] * patches.side).tolist()
        down, across = (
            slice(max(0, span.start - first), max(0, span.stop - first))
            for span, first in zip(spans, corner, strict=True)
        )
        whole[row] = np.zeros((patches.side, patches.side), bool)
        whole[row][down, across] = True
    tissue = {row: mask & patches.tissue(row) for row, mask in whole.items()}
    tissue = {row: mask for row, mask in tissue.items() if mask.any()}
    if tissue or patches.tissue(clicked).mean() < MIN_TISSUE:
        return tissue
    # A click into a lumen of a tile that an embedding has, too, means what is there.
    return whole


def _inside(patches: PatchVectors, geometry: BaseGeometry) -> Masks:
    import shapely

    left, top, right, bottom = geometry.bounds
    cells = patches.cells_in((left, top, right - left, bottom - top))
    shapely.prepare(geometry)
    steps = (np.arange(patches.side) + 0.5) * patches.stride
    found: Masks = {}
    for row in patches.rows_in(cells).tolist():
        y, x = patches.grid.cells[row] * patches.grid.stride + patches.origin[::-1]
        mask = shapely.contains_xy(geometry, *np.meshgrid(steps + x, steps + y))
        mask &= patches.tissue(row)
        if mask.any():
            found[row] = mask
    if len(found) <= _REGION_TILES:
        return found
    rows = list(found)
    chosen = np.linspace(0, len(rows) - 1, _REGION_TILES).round().astype(int)
    return {rows[i]: found[rows[i]] for i in chosen.tolist()}
