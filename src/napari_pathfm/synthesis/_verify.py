"""Make a synthetic image again from its provenance, and compare."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import condition_hash
from napari_pathfm.synthesis._again import PLACED, made_again, virtual_again
from napari_pathfm.synthesis._condition import (
    boxes_around,
    check_pair,
    check_points,
    mix,
    read_boxes,
)
from napari_pathfm.synthesis._direction import unpacked
from napari_pathfm.synthesis._fidelity import embed_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep, Provenance
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._virtual import VirtualSlide


@dataclass(frozen=True)
class Verification:
    """What came of making an image again.

    Attributes
    ----------
    identical : bool
        Whether every byte is the same.
    max_difference : int
        The largest difference of any value, 0 to 255.
    same_condition : bool
        Whether the embedding read from the slide was the very same.
    """

    identical: bool
    max_difference: int
    same_condition: bool


def verify(
    pixels: NDArray[np.uint8],
    provenance: Provenance,
    generator: Generator,
    *,
    slide: Slide | None = None,
    encoder: Encoder | None = None,
    store: EmbeddingStore | None = None,
    on_step: OnStep | None = None,
) -> Verification:
    """Generate an image again and compare it with the one at hand.

    Parameters
    ----------
    pixels : ndarray
        uint8 ``(h, w, 3)``; of a virtual slide, anything that has this shape and gives
        such an array when it is sliced, for it may be larger than memory.
    provenance : Provenance
        What the image says of itself.
    generator : Generator
        The one that it names, with the same weights.
    slide, encoder : Slide and Encoder, optional
        Those that it names; not needed for an unconditional image, and the encoder not
        for a virtual slide.
    store : EmbeddingStore, optional
        Of a virtual slide: the embeddings that it was made from.
    on_step : callable, optional
        See `OnStep`.

    Raises
    ------
    PathfmError
        If generator, weights, encoder or slide are not those that the provenance names:
        the message says which.
    Cancelled
        If ``on_step`` said so.
    """
    _same("generator", provenance.generator, generator.spec.name)
    _same("generator's weights", provenance.generator_revision, generator.revision)
    condition = made = None
    placed = provenance.action in PLACED
    if provenance.action == "virtual":
        if slide is None or store is None:
            raise PathfmError(
                "a virtual slide is made from embeddings: the slide and its store are "
                "needed to make it again (--slide, --store)"
            )
        _same("slide's fingerprint", provenance.slide_fingerprint, slide.fingerprint)
        virtual = virtual_again(provenance, slide, generator, store, on_step=on_step)
        return _compared(pixels, provenance, virtual, on_step)
    elif slide is None or encoder is None:
        if placed or provenance.condition_sha256 is not None:
            raise PathfmError(
                "the image was made from tissue: the slide and the encoder are needed "
                "to make it again"
            )
    elif placed:
        _same_sources(provenance, slide, generator, encoder)
        made = made_again(provenance, slide, generator, encoder, on_step=on_step)
    elif provenance.condition_sha256 is not None:
        condition = condition_of(provenance, slide, generator, encoder)
    if made is not None:
        again, told = made.pixels, made.provenance.condition_sha256
    else:
        again = generator.generate(
            condition,
            seed=provenance.seed,
            steps=provenance.steps,
            guidance=provenance.guidance,
            sampler=provenance.sampler,
            on_step=on_step,
        )[0].pixels
        told = None if condition is None else condition_hash(condition[0])
    _same_shape(pixels.shape, again.shape)
    difference = np.abs(again.astype(np.int16) - pixels.astype(np.int16))
    return Verification(
        identical=not difference.any(),
        max_difference=int(difference.max(initial=0)),
        same_condition=told == provenance.condition_sha256,
    )


def _compared(
    pixels: Any, provenance: Provenance, virtual: VirtualSlide, on_step: OnStep | None
) -> Verification:
    """Compare chunk by chunk: a whole slide does not fit into memory."""
    x, y, width, height = virtual.part(provenance.box or (0.0, 0.0, 0.0, 0.0))
    _same_shape(pixels.shape, (height, width, 3))
    side, worst = virtual.chunk_px, 0
    for chunk in virtual.chunks_of((x, y, width, height)):
        top, left = max(y, chunk.row * side), max(x, chunk.column * side)
        bottom = min(y + height, (chunk.row + 1) * side)
        right = min(x + width, (chunk.column + 1) * side)
        again = virtual.read(left, top, right - left, bottom - top, on_step)
        there = np.asarray(pixels[top - y : bottom - y, left - x : right - x])
        difference = np.abs(again.astype(np.int16) - there.astype(np.int16))
        worst = max(worst, int(difference.max(initial=0)))
    told = virtual.provenance.condition_sha256
    return Verification(worst == 0, worst, told == provenance.condition_sha256)


def _same_shape(there: tuple[int, ...], again: tuple[int, ...]) -> None:
    if there != again:
        raise PathfmError(
            f"the image has {there[1]} x {there[0]} px and comes out "
            f"with {again[1]} x {again[0]}: it was resized since"
        )


def condition_of(
    provenance: Provenance, slide: Slide, generator: Generator, encoder: Encoder
) -> NDArray[np.float32]:
    """Read an image's condition from its slide again, float32 ``(1, D)``.

    Raises
    ------
    PathfmError
        If slide or encoder are not those that the provenance names, or it does not say
        enough.
    """
    _same_sources(provenance, slide, generator, encoder)
    places = check_points(slide, provenance.points)
    boxes = boxes_around(slide, places, generator.spec)
    if provenance.box is not None and not np.allclose(boxes[0], provenance.box):
        raise PathfmError(
            f"the tile now covers {boxes[0][2]:g} level-0 pixels and covered "
            f"{provenance.box[2]:g}: give the pixel size that was used, with --mpp"
        )
    cls = embed_tiles(encoder, read_boxes(slide, boxes, generator.spec))
    if provenance.action == "vary":
        mean: NDArray[np.float32] = cls.mean(0, keepdims=True)
        return mean
    if provenance.action in ("walk", "steer"):
        try:
            told = provenance.details
            path, fraction = told["path"], told["fraction"]
            steered = None if provenance.action == "walk" else unpacked(told["end"])
        except KeyError as error:
            raise PathfmError(f"the provenance does not say its {error}") from error
        if steered is not None and len(cls) == 1 and steered.shape == cls[0].shape:
            return mix(cls[0], steered, fraction, path)[None]
        if steered is None and len(cls) == 2:
            return mix(cls[0], cls[1], fraction, path)[None]
    raise PathfmError(
        f"the image was made by {provenance.action!r} from {len(cls)} places, which "
        "this version cannot make again"
    )


def _same_sources(
    provenance: Provenance, slide: Slide, generator: Generator, encoder: Encoder
) -> None:
    check_pair(generator.spec, encoder)
    _same("encoder", provenance.encoder, encoder.spec.name)
    _same("encoder's weights", provenance.encoder_revision, encoder.revision)
    _same("slide's fingerprint", provenance.slide_fingerprint, slide.fingerprint)


def _same(what: str, told: str | None, here: str) -> None:
    if told != here:
        raise PathfmError(
            f"the image was made with another {what} ({told}, here {here})"
        )
