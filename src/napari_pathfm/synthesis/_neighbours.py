"""How like a place its real neighbours are: what a variant's cosine is held against."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.slides import tissue_mask
from napari_pathfm.synthesis._condition import read_boxes
from napari_pathfm.synthesis._fidelity import cosine, embed_tiles

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import GeneratorSpec
    from napari_pathfm.slides import Slide

    Box = tuple[float, float, float, float]

_TISSUE = 0.5


def neighbour_cosines(
    slide: Slide,
    box: Box,
    spec: GeneratorSpec,
    encoder: Encoder,
    condition: NDArray[np.float32],
) -> list[float]:
    """Compare the up to eight tiles that touch a tile with a condition.

    Parameters
    ----------
    slide : Slide
    box : (x, y, width, height)
        Of the tile, level-0.
    spec : GeneratorSpec
        How tiles are read.
    encoder : Encoder
        The conditioning one.
    condition : ndarray
        float32 ``(D,)``.

    Returns
    -------
    list of float
        Ascending; of those tiles that lie in the slide and are half tissue or more.
    """
    x, y, side, _ = box
    width, height = slide.dimensions
    around = [
        (x + i * side, y + j * side, side, side)
        for j in (-1, 0, 1)
        for i in (-1, 0, 1)
        if (i, j) != (0, 0)
        and 0 <= x + i * side <= width - side
        and 0 <= y + j * side <= height - side
    ]
    if not around:
        return []
    corners = np.array([(left, top) for left, top, *_ in around])
    covered = tissue_mask(slide).covered_many(corners, side)
    real = [b for b, c in zip(around, covered, strict=True) if c >= _TISSUE]
    if not real:
        return []
    seen = embed_tiles(encoder, read_boxes(slide, real, spec))
    return sorted(cosine(one, condition) for one in seen)


def share_below(value: float, cosines: Sequence[float]) -> float:
    """Give the share of real neighbours that are less like the place than a value."""
    return round(sum(other < value for other in cosines) / len(cosines), 4)
