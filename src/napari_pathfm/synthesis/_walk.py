"""From one place of a slide to another, along their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from napari_pathfm.synthesis._condition import (
    Path,
    boxes_around,
    check_on_tissue,
    check_pair,
    check_points,
    read_boxes,
    slide_details,
)
from napari_pathfm.synthesis._fidelity import cosine, embed_images, embed_tiles
from napari_pathfm.synthesis._frames import Way, check_frames, frames_along
from napari_pathfm.synthesis._placed import PlacedImages, stood_for

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide

    Point = tuple[float, float]

#: Frames of a walk unless another number is asked for.
FRAMES = 9


@dataclass(frozen=True, eq=False)
class Walk(PlacedImages):
    """Frames from a start to an end, all at the place of the start.

    `source` is the real tile at the start; see `PlacedImages` for the rest.

    Attributes
    ----------
    target : ndarray
        uint8 ``(px, px, 3)``: the real tile at the end.
    """

    axis: ClassVar[str] = "frame"

    target: NDArray[np.uint8]

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return f"Synthetic walk · {first.generator} · seed {first.seed}"


def walk(
    slide: Slide,
    start: Point,
    end: Point,
    generator: Generator,
    encoder: Encoder,
    *,
    frames: int = FRAMES,
    path: Path = "spherical",
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Walk:
    """Generate what lies between two places as the encoder sees them.

    The embeddings of the tiles around both points are mixed in equal steps; each mix
    conditions one frame. The noise is the same throughout, so that only the tissue
    changes. The first frame is what `vary` makes of the start with the same seed, the
    last what it makes of the end.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    start, end : (float, float)
        Level-0 ``(x, y)``.
    generator : Generator
        From `load_generator`.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    frames : int
        At least two.
    path : {"spherical", "linear"}
        See `mix`.
    seed, steps, guidance, sampler, preset, on_step
        See `Generator.generate`.

    Returns
    -------
    Walk
        The frames with their provenance; fidelity also says how near each is to the
        start and to the end.

    Raises
    ------
    OutsideSlideError
        If a point lies outside the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If a place holds no tissue, the encoder is another than the generator's, or a
        setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    spec = generator.spec
    check_pair(spec, encoder)
    check_frames(frames, "walk")
    mpp = slide.require_mpp()
    places = check_points(slide, [start, end])
    boxes = boxes_around(slide, places, spec)
    check_on_tissue(slide, boxes)
    tiles = read_boxes(slide, boxes, spec)
    ends = embed_tiles(encoder, tiles)
    way = Way(ends[0], ends[1], path, frames)
    made = frames_along(
        way,
        generator,
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        preset=preset,
        on_step=on_step,
    )
    seen = embed_images(encoder, made)
    images = [
        image.with_provenance(
            action="walk",
            details={**slide_details(slide), "path": path, "fraction": fraction},
            points=tuple(places),
            fidelity={
                "cosine_to_condition": cosine(look, condition),
                "cosine_to_start": cosine(look, ends[0]),
                "cosine_to_end": cosine(look, ends[1]),
            },
            **stood_for(slide, encoder, boxes[0], image),
        )
        for image, look, condition, fraction in zip(
            made, seen, way.conditions, way.fractions, strict=True
        )
    ]
    return Walk(
        images,
        boxes[0],
        tiles[0],
        mpp,
        str(slide.path),
        slide.fingerprint,
        target=tiles[1],
    )
