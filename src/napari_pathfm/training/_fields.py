"""Tissue to learn from: fields held in memory, and random crops of them.

A *field* is one RGB image, a whole small slide or a photographed field of view. Fields
belong to a *source* (one data set, one slide); crops are drawn source by source so that
a large slide does not drown the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._places import IMAGE_SUFFIXES, is_tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

# A few tiles of glass are kept so that the models know glass, but not at the rate at
# which slides contain it.
_GLASS_KEEP = 0.15


@dataclass(frozen=True)
class Source:
    """Fields that are sampled as one unit.

    Attributes
    ----------
    name : str
        Name in logs and model cards.
    fields : tuple of ndarray
        uint8 ``(h, w, 3)`` images.
    weight : float
        Share of the crops, relative to the other sources.
    """

    name: str
    fields: tuple[NDArray[np.uint8], ...]
    weight: float = 1.0


def load_images(
    folder: Path, name: str, *, weight: float = 1.0, keep: Callable[[Path], bool]
) -> Source:
    """Read every PNG and JPEG below a folder for which ``keep`` holds.

    Raises
    ------
    PathfmError
        If nothing is left to learn from.
    """
    from PIL import Image

    fields = []
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in IMAGE_SUFFIXES and keep(path):
            with Image.open(path) as image:
                fields.append(np.asarray(image.convert("RGB")))
    if not fields:
        raise PathfmError(f"{folder} holds no PNG or JPEG image to train on")
    return Source(name, tuple(fields), weight)


def load_slide(path: Path, *, weight: float = 1.0) -> Source:
    """Read level 0 of one small slide whole."""
    from napari_pathfm.slides import open_slide

    with open_slide(path) as slide:
        width, height = slide.dimensions
        return Source(path.stem, (slide.read(0, 0, width, height),), weight)


class Crops:
    """Random square crops, drawn by source, with a little scale jitter.

    Parameters
    ----------
    sources : iterable of Source
        Where to draw from.
    px : int
        Side of the crops given out, in pixels.
    zoom : (float, float)
        Range of the side of the square cut out, relative to ``px``; it is then resized
        (bicubic) to ``px``. ``(1, 1)`` cuts without resampling.
    """

    def __init__(
        self, sources: Iterable[Source], px: int, *, zoom: tuple[float, float] = (1, 1)
    ) -> None:
        self._sources = tuple(sources)
        if not self._sources:
            raise PathfmError("there is nothing to train on: no source was given")
        self._px = px
        self._zoom = zoom
        weights = np.array([source.weight for source in self._sources])
        self._shares = weights / weights.sum()

    def draw(self, rng: np.random.Generator, n: int) -> NDArray[np.uint8]:
        """Draw ``n`` crops: uint8 ``(n, px, px, 3)``."""
        return np.stack([self._one(rng) for _ in range(n)])

    def _one(self, rng: np.random.Generator) -> NDArray[np.uint8]:
        while True:
            source = self._sources[rng.choice(len(self._sources), p=self._shares)]
            field = source.fields[rng.integers(len(source.fields))]
            crop = self._cut(rng, field)
            if is_tissue(crop) or rng.random() < _GLASS_KEEP:
                return crop

    def _cut(
        self, rng: np.random.Generator, field: NDArray[np.uint8]
    ) -> NDArray[np.uint8]:
        from PIL import Image

        height, width = field.shape[:2]
        side = round(self._px * rng.uniform(*self._zoom))
        side = min(side, height, width)
        y = int(rng.integers(height - side + 1))
        x = int(rng.integers(width - side + 1))
        crop = field[y : y + side, x : x + side]
        if side == self._px:
            return crop
        size = (self._px, self._px)
        image = Image.fromarray(crop).resize(size, Image.Resampling.BICUBIC)
        return np.asarray(image)
