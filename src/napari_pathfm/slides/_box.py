"""A rectangle of a slide that a person asks for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_pathfm.errors import OutsideSlideError

if TYPE_CHECKING:
    from napari_pathfm.slides._slide import Slide

    #: ``(x, y, width, height)`` in level-0 pixels.
    Box = tuple[float, float, float, float]


def check_box(slide: Slide, box: Box) -> Box:
    """Refuse a box that is empty or leaves the slide.

    Raises
    ------
    OutsideSlideError
        Naming the slide's size.
    """
    x, y, width, height = (float(value) for value in box)
    if not all(map(math.isfinite, (x, y, width, height))) or min(width, height) <= 0:
        raise OutsideSlideError(
            f"the box {_text(box)} is empty: give X,Y,WIDTH,HEIGHT in level-0 pixels"
        )
    wide, high = slide.dimensions
    if x < 0 or y < 0 or x + width > wide or y + height > high:
        raise OutsideSlideError(
            f"the box {_text(box)} leaves {slide.path.name}, which is "
            f"{wide} x {high} level-0 pixels"
        )
    return x, y, width, height


def _text(box: Box) -> str:
    return ",".join(f"{value:g}" for value in box)
