"""What would make a tile look more like something else to a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from napari_pathfm.errors import PathfmError
from napari_pathfm.synthesis._condition import (
    boxes_around,
    check_on_tissue,
    check_pair,
    check_points,
    read_boxes,
    slide_details,
)
from napari_pathfm.synthesis._direction import (
    angle,
    check_steering,
    check_vectors,
    end_towards,
    packed,
)
from napari_pathfm.synthesis._fidelity import cosine, embed_images, embed_tiles
from napari_pathfm.synthesis._frames import Way, check_frames, frames_along
from napari_pathfm.synthesis._placed import PlacedImages, stood_for
from napari_pathfm.synthesis._walk import FRAMES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._direction import Classifier

    Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Steering(PlacedImages):
    """Steps from a tile towards something else, all at the tile's place.

    `source` is the real tile; see `PlacedImages` for the rest.

    Attributes
    ----------
    towards : str
        The class, or ``"places"``.
    probabilities : list of float or None
        Of the class, one per step: the classifier's on the generated tile, seen anew by
        the encoder. None without a class.
    real_probability : float or None
        Of the real tile.
    """

    axis: ClassVar[str] = "step"

    towards: str
    probabilities: list[float] | None = None
    real_probability: float | None = None

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return (
            f"Synthetic, towards {self.towards} · {first.generator} · seed {first.seed}"
        )


def steer(
    slide: Slide,
    point: Point,
    generator: Generator,
    encoder: Encoder,
    *,
    classifier: Classifier | None = None,
    towards: str | None = None,
    like: Sequence[Point] = (),
    unlike: Sequence[Point] = (),
    reach: float | None = None,
    frames: int = FRAMES,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Steering:
    """Move a tile's embedding towards a class or other places; generate on the way.

    Towards a class, the embedding turns to the class's direction (its weights less the
    mean of the others') and keeps its length, until the classifier gives it the
    probability `reach`. From places to places, the difference of their mean embeddings
    is added. The noise is the same throughout; the first step is what `vary` makes of
    the place with the same seed.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    point : (float, float)
        Level-0 ``(x, y)`` of the tile.
    generator : Generator
        From `load_generator`.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    classifier : Classifier, optional
        `heatmaps.FewShot`, fitted to CLS of that encoder.
    towards : str, optional
        The wanted class; the classifier is needed with it.
    like, unlike : sequence of (float, float)
        Level-0 places to become like, and to become unlike: the direction in place of
        the classifier's, which then only measures, if there is one.
    reach : float, optional
        Above 0 and below 1; only where the classifier gives the direction. `REACH`, or
        as far as can be had, where it is not given.
    frames : int
        Steps, the real tile's own condition included; at least two.
    seed, steps, guidance, sampler, preset, on_step
        See `Generator.generate`.

    Returns
    -------
    Steering
        Fidelity has, for each step, how near it is to its condition and to the start
        and, of a class, ``probability``: the classifier's, computed anew on the
        generated tile; ``condition_probability`` is what was asked for.

    Raises
    ------
    OutsideSlideError
        If a point lies outside the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    LabelError
        If the classifier has no such class.
    StoreError
        If the classifier was fitted to other weights or tiles.
    PathfmError
        If the classifier belongs to another encoder, a place holds no tissue, the tile
        is of the class already or cannot be made so, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    spec = generator.spec
    check_pair(spec, encoder)
    check_frames(frames, "steering")
    _check_goal(classifier, towards, like, unlike, reach)
    if classifier is not None:
        check_steering(classifier, towards, spec)
        check_vectors(classifier, encoder, slide)
    mpp = slide.require_mpp()
    places = check_points(slide, [point, *like, *unlike])
    boxes = boxes_around(slide, places, spec)
    check_on_tissue(slide, boxes)
    tiles = read_boxes(slide, boxes, spec)
    cls = embed_tiles(encoder, tiles)
    details: dict[str, Any] = slide_details(slide)
    details["towards"] = towards or "places"
    if classifier is not None and towards is not None and not like:
        end = end_towards(cls[0], classifier, towards, reach)
        way = Way(cls[0], end, "spherical", frames)
        if reach is not None:
            details["reach"] = reach
    else:
        split = 1 + len(like)
        end = cls[0] + cls[1:split].mean(0) - cls[split:].mean(0)
        way = Way(cls[0], end, "linear", frames)
        details |= {"like": places[1:split], "unlike": places[split:]}
    details |= {"path": way.path, "end": packed(end)}
    images = frames_along(
        way,
        generator,
        seed=seed,
        steps=steps,
        guidance=guidance,
        sampler=sampler,
        preset=preset,
        on_step=on_step,
    )
    seen = embed_images(encoder, images)
    told = _told(way, seen, classifier, towards)
    images = [
        image.with_provenance(
            action="steer",
            points=(places[0],),
            details={
                **details,
                "fraction": fraction,
                "angle": angle(condition, cls[0]),
            },
            fidelity=figures,
            **stood_for(slide, encoder, boxes[0], image),
        )
        for image, condition, fraction, figures in zip(
            images, way.conditions, way.fractions, told, strict=True
        )
    ]
    chances = real = None
    if classifier is not None and towards is not None:
        chances = [figures["probability"] for figures in told]
        real = float(classifier.chances(cls[:1])[0, classifier.number(towards)])
    return Steering(
        images,
        boxes[0],
        tiles[0],
        mpp,
        str(slide.path),
        slide.fingerprint,
        towards=towards or "places",
        probabilities=chances,
        real_probability=real,
    )


def _check_goal(
    classifier: Classifier | None,
    towards: str | None,
    like: Sequence[Point],
    unlike: Sequence[Point],
    reach: float | None,
) -> None:
    """Refuse a goal that is none, or two at once."""
    if (classifier is None) != (towards is None):
        raise PathfmError("a class and its classifier belong together: give both")
    if bool(like) != bool(unlike) or (towards is None and not like):
        raise PathfmError(
            "say where to steer: a class of a classifier, or places to become like and "
            "places to become unlike"
        )
    if reach is not None and not 0 < reach < 1:
        raise PathfmError(f"a reach of {reach:g} makes no sense: use 0.5 to 0.99")


def _told(
    way: Way,
    seen: NDArray[np.float32],
    classifier: Classifier | None,
    towards: str | None,
) -> list[dict[str, float]]:
    """Measure every step."""
    figures = [
        {
            "cosine_to_condition": cosine(look, condition),
            "cosine_to_start": cosine(look, way.start),
        }
        for look, condition in zip(seen, way.conditions, strict=True)
    ]
    if classifier is not None and towards is not None:
        number = classifier.number(towards)
        made = classifier.chances(seen)[:, number].tolist()
        asked = classifier.chances(way.conditions)[:, number].tolist()
        for entry, got, wanted in zip(figures, made, asked, strict=True):
            entry["probability"] = round(got, 4)
            entry["condition_probability"] = round(wanted, 4)
    return figures
