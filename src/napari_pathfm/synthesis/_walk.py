"""From one place of a slide to another, along their embeddings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.synthesis._condition import (
    Path,
    boxes_around,
    check_pair,
    check_points,
    mix,
    read_boxes,
    slide_details,
)
from napari_pathfm.synthesis._fidelity import cosine, embed_images, embed_tiles
from napari_pathfm.synthesis._placed import PlacedImages

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep, SyntheticImage
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
        If the encoder is another than the generator's, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    spec = generator.spec
    check_pair(spec, encoder)
    if frames < 2:
        raise PathfmError(f"a walk has a first and a last frame, not {frames}")
    mpp = slide.require_mpp()
    places = check_points(slide, [start, end])
    boxes = boxes_around(slide, places, spec)
    tiles = read_boxes(slide, boxes, spec)
    ends = embed_tiles(encoder, tiles)
    fractions = np.linspace(0, 1, frames).tolist()
    conditions = np.stack([mix(ends[0], ends[1], f, path) for f in fractions])

    images: list[SyntheticImage] = []
    for number, condition in enumerate(conditions):
        images += generator.generate(
            condition[None],
            seed=seed,
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            preset=preset,
            on_step=_across(on_step, number, frames),
        )
    side = boxes[0][2]
    images = [
        image.with_provenance(
            action="walk",
            details={**slide_details(slide), "path": path, "fraction": fraction},
            encoder=encoder.spec.name,
            encoder_revision=encoder.revision,
            slide=slide.path.name,
            slide_fingerprint=slide.fingerprint,
            points=tuple(places),
            box=boxes[0],
            mpp=side / image.pixels.shape[1] * mpp,
            fidelity={
                "cosine_to_condition": cosine(seen, condition),
                "cosine_to_start": cosine(seen, ends[0]),
                "cosine_to_end": cosine(seen, ends[1]),
            },
        )
        for image, seen, condition, fraction in zip(
            images, embed_images(encoder, images), conditions, fractions, strict=True
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


def _across(on_step: OnStep | None, number: int, frames: int) -> OnStep | None:
    """Count the steps of one frame among those of all frames."""
    if on_step is None:
        return None

    def counted(
        step: int, total: int, preview: NDArray[np.uint8] | None
    ) -> bool | None:
        return on_step(number * total + step, frames * total, preview)

    return counted
