"""From places of a slide to what a generator is told of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_pathfm.errors import OutsideSlideError, PathfmError
from napari_pathfm.slides import tissue_mask

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import GeneratorSpec
    from napari_pathfm.slides import Slide

    Point = tuple[float, float]
    Box = tuple[float, float, float, float]

#: How one embedding becomes another.
Path = Literal["spherical", "linear"]
PATHS: tuple[Path, ...] = ("spherical", "linear")

# Less of a tile than this is glass with dust on it.
_LEAST = 0.05
# Directions this near to each other (or to opposites) have no arc worth following.
_FLAT = 1e-4


def check_pair(spec: GeneratorSpec, encoder: Encoder) -> None:
    """Refuse an encoder that is not the one the generator is conditioned on.

    Raises
    ------
    PathfmError
        Naming both.
    """
    if encoder.spec.name != spec.encoder:
        raise PathfmError(
            f"{spec.title} is conditioned on {spec.encoder}, "
            f"not on {encoder.spec.name}: load that encoder"
        )


def check_points(slide: Slide, points: Sequence[Point]) -> list[Point]:
    """Refuse points outside the slide, and an empty list.

    Raises
    ------
    OutsideSlideError
        Naming the first point outside, and the slide's size.
    """
    if not points:
        raise OutsideSlideError("no point was given: give at least one, as X,Y")
    width, height = slide.dimensions
    for x, y in points:
        if not (0 <= x < width and 0 <= y < height):
            raise OutsideSlideError(
                f"({x:g}, {y:g}) lies outside {slide.path.name}, "
                f"which is {width} x {height} level-0 pixels"
            )
    return [(float(x), float(y)) for x, y in points]


def boxes_around(
    slide: Slide, points: Sequence[Point], spec: GeneratorSpec
) -> list[Box]:
    """Level-0 ``(x, y, width, height)`` of the tile centred on each point."""
    side = spec.tile_px * slide.sampling(spec.mpp).downsample
    return [(x - side / 2, y - side / 2, side, side) for x, y in points]


def check_on_tissue(slide: Slide, boxes: Sequence[Box]) -> None:
    """Refuse tiles of which none but dust is tissue.

    Raises
    ------
    PathfmError
        Naming the first such place.
    """
    mask = tissue_mask(slide)
    for x, y, side, _ in boxes:
        if mask.covered(x, y, side) < _LEAST:
            raise PathfmError(
                f"({x + side / 2:g}, {y + side / 2:g}) of {slide.path.name} is glass: "
                "choose a place on the tissue, or ask for unconditional images"
            )


def check_places(slide: Slide, points: Sequence[Point], spec: GeneratorSpec) -> None:
    """Refuse points outside the slide and on glass, before any model is loaded.

    Raises
    ------
    OutsideSlideError
        If a point lies outside the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If there is no tissue around a point.
    """
    places = check_points(slide, points)
    slide.require_mpp()
    check_on_tissue(slide, boxes_around(slide, places, spec))


def read_boxes(
    slide: Slide, boxes: Sequence[Box], spec: GeneratorSpec
) -> NDArray[np.uint8]:
    """Read the tiles, uint8 ``(N, px, px, 3)`` at the generator's own resolution."""
    px = spec.tile_px
    return np.stack([slide.read(x, y, px, px, mpp=spec.mpp) for x, y, _, _ in boxes])


def slide_details(slide: Slide) -> dict[str, Any]:
    """What of a slide's opening changes its pixels, for the provenance."""
    return {"icc_applied": True} if slide.icc_applied else {}


def mix(
    start: NDArray[np.float32],
    end: NDArray[np.float32],
    fraction: float,
    path: Path = "spherical",
) -> NDArray[np.float32]:
    """Give the embedding at a fraction of the way from one to another.

    Parameters
    ----------
    start, end : ndarray
        float32 ``(D,)``.
    fraction : float
        0 is `start`, 1 is `end`, both exactly.
    path : {"spherical", "linear"}
        Spherical follows the arc between the two directions at even speed (Shoemake
        1985) while the length changes evenly; linear is the straight line.

    Returns
    -------
    ndarray
        float32 ``(D,)``.

    Raises
    ------
    PathfmError
        There is no such path, or the directions are opposite and no arc is the
        shortest.
    """
    if path not in PATHS:
        raise PathfmError(f"no path {path!r}: choose one of {', '.join(PATHS)}")
    if fraction in (0, 1):
        return start if fraction == 0 else end
    a, b = start.astype(np.float64), end.astype(np.float64)
    straight = (1 - fraction) * a + fraction * b
    if path == "linear":
        return straight.astype(np.float32)
    lengths = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if not all(lengths):
        return straight.astype(np.float32)
    cosine = float(np.clip(a @ b / (lengths[0] * lengths[1]), -1, 1))
    angle = math.acos(cosine)
    if angle < _FLAT:
        return straight.astype(np.float32)
    if math.pi - angle < _FLAT:
        raise PathfmError(
            "the two places have opposite embeddings, between which no arc is the "
            "shortest: use the linear path"
        )
    weights = (
        math.sin((1 - fraction) * angle) / math.sin(angle),
        math.sin(fraction * angle) / math.sin(angle),
    )
    direction = weights[0] * a / lengths[0] + weights[1] * b / lengths[1]
    length = (1 - fraction) * lengths[0] + fraction * lengths[1]
    return (direction * length).astype(np.float32)
