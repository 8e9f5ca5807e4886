"""One class per tile, and where it lies on the slide."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.heatmaps._heatmap import cell_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._classes import TissueClass


@dataclass(frozen=True)
class CategoryMap:
    """A grid of classes over a slide.

    Attributes
    ----------
    values : ndarray
        int16 ``(rows, columns)``; 0 where there is no tile or no result, else the
        class's number from 1.
    classes : tuple of TissueClass
        The class of number ``n`` is ``classes[n - 1]``.
    origin : (float, float)
        Level-0 ``(x, y)`` of the first cell's top-left corner.
    stride : float
        Level-0 pixels per cell.
    mpp : float
        Micrometres per level-0 pixel.
    name : str
        What the values are, for people.
    provenance : dict
        What made it; JSON-serialisable.
    numbers : int16 array, (N,), optional
        The class's number of each tile, where a tile may be more than one cell.
    """

    values: NDArray[np.int16]
    classes: tuple[TissueClass, ...]
    origin: tuple[float, float]
    stride: float
    mpp: float
    name: str = "classes"
    provenance: dict[str, Any] = field(default_factory=dict)
    numbers: NDArray[np.int16] | None = None

    def at(self, x: float, y: float) -> TissueClass | None:
        """Class at a level-0 point, or None.

        Raises
        ------
        OutsideSlideError
            If the point lies outside the grid.
        """
        row, column = cell_at(self, x, y)
        number = int(self.values[row, column])
        return self.classes[number - 1] if number else None

    @property
    def counts(self) -> dict[str, int]:
        """How many tiles each class has."""
        numbers = self.values.ravel() if self.numbers is None else self.numbers
        found = np.bincount(numbers, minlength=len(self.classes) + 1)
        return {c.name: int(n) for c, n in zip(self.classes, found[1:], strict=True)}

    def to_layer(
        self, *, name: str | None = None
    ) -> tuple[NDArray[np.int16], dict[str, Any], str]:
        """Give a napari layer-data tuple, one pixel a cell, in micrometres.

        Parameters
        ----------
        name : str, optional
            Of the layer, in place of the map's own.
        """
        from napari_pathfm.slides import grid_transform

        scale, translate = grid_transform(self.origin, self.stride, self.mpp)
        colors: dict[int | None, Any] = {None: "transparent", 0: "transparent"}
        for number, one in enumerate(self.classes, 1):
            colors[number] = tuple(channel / 255 for channel in one.color)
        metadata = {"version": 1, "kind": "classes", "name": self.name}
        metadata |= {"mpp": self.mpp, "origin": list(self.origin)}
        metadata |= {"stride": self.stride, "provenance": self.provenance}
        metadata["classes"] = {c.name: list(c.color) for c in self.classes}
        metadata["fingerprint"] = self.provenance.get("slide_fingerprint")
        keywords = {
            "name": name or self.name,
            "scale": scale,
            "translate": translate,
            "units": ("um", "um"),
            "colormap": colors,
            "blending": "translucent",
            "opacity": 0.5,
            "metadata": {"napari_pathfm": metadata},
        }
        return self.values, keywords, "labels"
