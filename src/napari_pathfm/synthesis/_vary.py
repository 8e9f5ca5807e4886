"""Variants of the tissue at a place of a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from napari_pathfm.synthesis._condition import (
    boxes_around,
    check_on_tissue,
    check_pair,
    check_points,
    read_boxes,
    slide_details,
)
from napari_pathfm.synthesis._fidelity import cosine, embed_images, embed_tiles
from napari_pathfm.synthesis._neighbours import neighbour_cosines, share_below
from napari_pathfm.synthesis._placed import PlacedImages, stood_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide

    Point = tuple[float, float]


class Variation(PlacedImages):
    """Variants of one tile; `source` is the real tile around the first point."""

    axis: ClassVar[str] = "variant"


def vary(
    slide: Slide,
    points: Sequence[Point],
    generator: Generator,
    encoder: Encoder,
    *,
    conditional: bool = True,
    n: int = 4,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Variation:
    """Generate variants of the tissue around a point.

    The tiles centred on the points are encoded, their CLS vectors averaged, and the
    generator is conditioned on the mean. The images stand at the first point.
    Without condition they show what the generator makes of nothing but its training.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    points : sequence of (float, float)
        Level-0 ``(x, y)``, at least one.
    generator : Generator
        From `load_generator`.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    conditional : bool
        Whether the points' embeddings condition the images.
    n, seed, steps, guidance, sampler, preset, on_step
        See `Generator.generate`.

    Returns
    -------
    Variation
        ``n`` images with their provenance and fidelity: the cosine to the condition,
        and the share of the tile's real neighbours that have a lower one.

    Raises
    ------
    OutsideSlideError
        If a point lies outside the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If a place holds no tissue (of conditional images), the encoder is another than
        the generator's, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    spec = generator.spec
    check_pair(spec, encoder)
    mpp = slide.require_mpp()
    places = check_points(slide, points)
    boxes = boxes_around(slide, places, spec)
    if conditional:
        check_on_tissue(slide, boxes)
    tiles = read_boxes(slide, boxes, spec)
    condition = embed_tiles(encoder, tiles).mean(0, keepdims=True)
    images = generator.generate(
        condition if conditional else None,
        n=n,
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        preset=preset,
        on_step=on_step,
    )
    measured = "cosine_to_condition" if conditional else "cosine_to_place"
    real = neighbour_cosines(slide, boxes[0], spec, encoder, condition[0])
    details = slide_details(slide) | ({"neighbour_cosines": real} if real else {})

    def figures(seen: NDArray[np.float32]) -> dict[str, float]:
        near = cosine(seen, condition[0])
        below = {"neighbours_below": share_below(near, real)} if real else {}
        return {measured: near, **below}

    images = [
        image.with_provenance(
            points=tuple(places),
            details=details,
            fidelity=figures(seen),
            **stood_for(slide, encoder, boxes[0], image),
        )
        for image, seen in zip(images, embed_images(encoder, images), strict=True)
    ]
    return Variation(
        images, boxes[0], tiles[0], mpp, str(slide.path), slide.fingerprint
    )
