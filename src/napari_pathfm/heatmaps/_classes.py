"""Classes of tissue: names, colours, and the tiles that a person has put into them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import LabelError
from napari_pathfm.heatmaps._places import rows_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._places import Place
    from napari_pathfm.slides import TileGrid

# Okabe and Ito's eight without black, which no common colour blindness confuses.
PALETTE = (
    (213, 94, 0),
    (0, 114, 178),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
)


@dataclass(frozen=True)
class TissueClass:
    """A class as QuPath has it: a name and a colour.

    Attributes
    ----------
    name : str
        Not empty, and the only one of its name.
    color : (int, int, int)
        Red, green, blue from 0 to 255.
    """

    name: str
    color: tuple[int, int, int]


@dataclass(frozen=True)
class LabelledTiles:
    """Which tiles belong to which class.

    Attributes
    ----------
    classes : tuple of TissueClass
        In the order of the numbers below.
    rows : int64 array, (M,)
        Tiles of the grid, each once, ascending.
    labels : int64 array, (M,)
        The class of each, from 0.
    misplaced : int
        How many places held no tissue tile and label nothing.
    """

    classes: tuple[TissueClass, ...]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    misplaced: int = 0

    def __post_init__(self) -> None:
        names = [one.name for one in self.classes]
        if len(set(names)) != len(names) or not all(names):
            raise LabelError(f"classes need names, each its own: {names}")

    def __len__(self) -> int:
        """Count the labelled tiles."""
        return len(self.rows)

    @property
    def counts(self) -> NDArray[np.int64]:
        """Count the tiles of each class: int64 ``(K,)``."""
        return np.bincount(self.labels, minlength=len(self.classes)).astype(np.int64)

    def among(self, done: NDArray[np.bool_]) -> LabelledTiles:
        """Keep the tiles that are embedded."""
        kept = done[self.rows]
        return replace(self, rows=self.rows[kept], labels=self.labels[kept])


def classes_named(names: Iterable[str]) -> tuple[TissueClass, ...]:
    """Give names colours of the palette, in turn."""
    return tuple(
        TissueClass(name, PALETTE[i % len(PALETTE)]) for i, name in enumerate(names)
    )


def label_places(
    grid: TileGrid,
    places: Sequence[tuple[Place, str]],
    colors: Mapping[str, tuple[int, int, int]] | None = None,
) -> LabelledTiles:
    """Label the tiles at places.

    Parameters
    ----------
    grid : TileGrid
        Of the slide.
    places : sequence of (place, class name)
        Points, outlines or shapely geometries in level-0 pixels. Where two meet, the
        later one counts.
    colors : mapping of str to (r, g, b), optional
        Of classes that have one; the rest get one of the palette.

    Returns
    -------
    LabelledTiles
        Classes in the order in which their names first appear.
    """
    names = list(dict.fromkeys(name for _, name in places))
    known = colors or {}
    classes = tuple(
        TissueClass(one.name, known.get(one.name, one.color))
        for one in classes_named(names)
    )
    label = np.full(len(grid), -1, np.int64)
    misplaced = 0
    for place, name in places:
        found = rows_at(grid, place)
        misplaced += not len(found)
        label[found] = names.index(name)
    rows = np.flatnonzero(label >= 0)
    return LabelledTiles(classes, rows, label[rows], misplaced)
