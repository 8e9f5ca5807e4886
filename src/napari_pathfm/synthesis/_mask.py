"""What is to be made anew: shapes on a slide, as pixels and as latent cells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutsideSlideError, PathfmError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice


def mask_shape(slide: Slide, mask: Any) -> BaseGeometry:
    """Check a mask: a box ``(x, y, width, height)``, or a shapely polygon or several.

    Raises
    ------
    OutsideSlideError
        If it lies outside the slide.
    PathfmError
        If it has no area.
    """
    import shapely

    if not isinstance(mask, shapely.Geometry):
        x, y, width, height = (float(value) for value in mask)
        mask = shapely.box(x, y, x + width, y + height)
    if not mask.is_valid:
        mask = shapely.make_valid(mask)
    if not mask.area > 0:
        raise PathfmError(
            "the mask is empty: draw a polygon or rectangle around what is to go"
        )
    wide, high = slide.dimensions
    left, top, right, bottom = mask.bounds
    if left < 0 or top < 0 or right > wide or bottom > high:
        raise OutsideSlideError(
            f"the mask reaches from {left:g},{top:g} to {right:g},{bottom:g} and "
            f"leaves {slide.path.name}, which is {wide} x {high} level-0 pixels"
        )
    return mask


def mask_json(shape: BaseGeometry) -> dict[str, Any]:
    """Give a mask as GeoJSON geometry, exactly, for the provenance."""
    import json

    import shapely

    told: dict[str, Any] = json.loads(json.dumps(shapely.geometry.mapping(shape)))
    return told


def mask_pixels(
    shape: BaseGeometry,
    lattice: Lattice,
    row: int,
    column: int,
    height: int,
    width: int,
) -> NDArray[np.bool_]:
    """Say which pixels of some cells have their centre in a mask."""
    import shapely

    x, y, _, _ = lattice.box(row, column, height, width)
    xs = x + (np.arange(width * lattice.px) + 0.5) * lattice.pixel
    ys = y + (np.arange(height * lattice.px) + 0.5) * lattice.pixel
    shapely.prepare(shape)
    inside: NDArray[np.bool_] = shapely.contains_xy(shape, xs[None], ys[:, None])
    return inside


def cells_of(pixels: NDArray[np.bool_], px: int) -> NDArray[np.bool_]:
    """Say which cells hold any pixel of a mask."""
    height, width = pixels.shape
    blocks = pixels.reshape(height // px, px, width // px, px)
    cells: NDArray[np.bool_] = np.any(blocks, axis=(1, 3))
    return cells
