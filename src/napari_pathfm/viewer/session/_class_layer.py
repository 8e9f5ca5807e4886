"""Labels as a napari Labels layer: painted, erased and undone by napari's own tools."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.heatmaps import LabelledTiles
from napari_pathfm.slides import grid_transform
from napari_pathfm.viewer._metadata import KEY, entry, entry_for, layers_of
from napari_pathfm.viewer.session._slide_layers import add_layer

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels
    from numpy.typing import NDArray

    from napari_pathfm.heatmaps import TissueClass
    from napari_pathfm.slides import TileGrid
    from napari_pathfm.viewer.session._slide_state import SlideState

# Side of what a brush of one paints: an eighth of the usual tile.
CELL_UM = 14.0
# Of the brush to begin with, in cells: what a tile is seen by when it is painted.
_BRUSH = 4


def labels_layer(viewer: ViewerModel, state: SlideState) -> Labels | None:
    """Find the layer that a person paints a slide's labels on."""
    found = layers_of(viewer.layers, "labels", state.fingerprint)
    return found[0] if found else None


def make_labels_layer(
    viewer: ViewerModel, state: SlideState, classes: tuple[TissueClass, ...]
) -> Labels:
    """Add an empty layer for labels over a slide."""
    from napari.layers import Labels

    mpp = state.mpp or 1.0
    stride = CELL_UM / mpp
    width, height = state.slide.dimensions
    shape = math.ceil(height / stride), math.ceil(width / stride)
    scale, translate = grid_transform((0.0, 0.0), stride, mpp)
    layer = Labels(
        np.zeros(shape, np.uint8),
        name="Labels",
        scale=scale,
        translate=translate,
        units=state.layer.units[-2:],
        opacity=0.7,
        metadata=entry_for("labels", entry(state.layer) or {}, stride=stride),
    )
    color_classes(layer, classes)
    layer.brush_size = _BRUSH
    add_layer(viewer, layer)
    return layer


def color_classes(layer: Labels, classes: tuple[TissueClass, ...]) -> None:
    """Give each class's number its colour, and its name where the layer is written."""
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
    for number, one in enumerate(classes, 1):
        colors[number] = tuple(channel / 255 for channel in one.color)
    layer.colormap = DirectLabelColormap(color_dict=colors)
    layer.metadata[KEY]["classes"] = {one.name: list(one.color) for one in classes}


def painted_cells(layer: Labels) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Give what is painted.

    Returns
    -------
    centres : float64 array, (n, 2)
        Level-0 ``(x, y)``.
    numbers : int64 array, (n,)
        Of the classes, from 1.
    """
    rows, columns = np.nonzero(layer.data)
    stride = (entry(layer) or {})["stride"]
    centres = (np.stack([columns, rows], axis=1) + 0.5) * stride
    return centres, np.asarray(layer.data)[rows, columns].astype(np.int64)


def tiles_painted(
    grid: TileGrid,
    centres: NDArray[np.float64],
    numbers: NDArray[np.int64],
    classes: tuple[TissueClass, ...],
) -> LabelledTiles:
    """Give each tile the class that most of the painted cells in it have.

    Parameters
    ----------
    grid : TileGrid
        Of the embeddings.
    centres, numbers : arrays
        From `painted_cells`.
    classes : tuple of TissueClass
        Number ``n`` is ``classes[n - 1]``; other numbers label nothing.
    """
    raster = grid.raster
    rows_of, columns_of = raster.index.shape
    place = np.floor((centres - raster.origin) / raster.stride).astype(np.int64)
    column, row = place.T
    inside = (row >= 0) & (row < rows_of) & (column >= 0)
    inside &= (column < columns_of) & (numbers >= 1) & (numbers <= len(classes))
    tile = raster.index[row[inside], column[inside]]
    votes = np.zeros((len(grid), len(classes)), np.int64)
    on_tissue = tile >= 0
    np.add.at(votes, (tile[on_tissue], numbers[inside][on_tissue] - 1), 1)
    rows = np.flatnonzero(votes.any(axis=1))
    if not len(rows):
        # Nor is there a largest vote where there is no class.
        return LabelledTiles(classes, rows, np.zeros(0, np.int64))
    return LabelledTiles(classes, rows, votes[rows].argmax(axis=1))
