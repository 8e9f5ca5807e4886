"""Variants of the tissue at a place of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import OutsideSlideError, PathfmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep, SyntheticImage
    from napari_pathfm.slides import Slide

    Point = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Variation:
    """Synthetic images, and the real tile they vary.

    Attributes
    ----------
    images : list of SyntheticImage
        All of the same size.
    box : (float, float, float, float)
        Level-0 ``(x, y, width, height)`` that each image stands for.
    source : ndarray
        uint8 ``(px, px, 3)``: the real tile around the first point.
    slide_mpp : float
        Micrometres per level-0 pixel.
    slide_path, slide_fingerprint : str
        Whose tissue it was.
    """

    images: list[SyntheticImage]
    box: tuple[float, float, float, float]
    source: NDArray[np.uint8]
    slide_mpp: float
    slide_path: str
    slide_fingerprint: str

    @property
    def fidelity(self) -> list[float]:
        """Cosine of each image's embedding to the condition, by the same encoder.

        It is the very encoder that conditioned the generator: a high cosine is expected
        and proves little.
        """
        return [i.provenance.fidelity["cosine_to_condition"] for i in self.images]

    def to_layer(self) -> tuple[NDArray[np.uint8], dict[str, Any], str]:
        """Give a napari layer-data tuple: ``(n, h, w, 3)``, one image on a slider."""
        from napari_pathfm.slides import grid_transform

        pixels = np.stack([image.pixels for image in self.images])
        x, y, width, _ = self.box
        stride = width / pixels.shape[2]
        scale, translate = grid_transform((x, y), stride, self.slide_mpp)
        first = self.images[0].provenance
        metadata = {
            "version": 1,
            "kind": "synthetic",
            "path": self.slide_path,
            "fingerprint": self.slide_fingerprint,
            "mpp": self.slide_mpp,
            "box": list(self.box),
            "provenance": [image.provenance.to_dict() for image in self.images],
        }
        keywords = {
            "name": f"Synthetic · {first.generator} · seed {first.seed}",
            "rgb": True,
            "scale": (1.0, *scale),
            "translate": (0.0, *translate),
            "units": ("pixel", "um", "um"),
            "axis_labels": ("variant", "y", "x"),
            "metadata": {"napari_pathfm": metadata},
        }
        return pixels, keywords, "image"


def vary(
    slide: Slide,
    points: Sequence[Point],
    generator: Generator,
    encoder: Encoder,
    *,
    n: int = 4,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    on_step: OnStep | None = None,
) -> Variation:
    """Generate variants of the tissue around a point.

    The tiles centred on the points are encoded, their CLS vectors averaged, and the
    generator is conditioned on the mean. The images stand at the first point.

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
    n, seed, steps, guidance, on_step
        See `Generator.generate`.

    Returns
    -------
    Variation
        ``n`` images with their provenance and fidelity.

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
    if encoder.spec.name != spec.encoder:
        raise PathfmError(
            f"{spec.title} is conditioned on {spec.encoder}, "
            f"not on {encoder.spec.name}: load that encoder"
        )
    mpp = slide.require_mpp()
    places = check_points(slide, points)
    side = spec.tile_px * slide.sampling(spec.mpp).downsample
    boxes = [(x - side / 2, y - side / 2, side, side) for x, y in places]
    px = spec.tile_px
    tiles = np.stack([slide.read(x, y, px, px, mpp=spec.mpp) for x, y, _, _ in boxes])
    condition = encoder.encode(tiles).cls.mean(0, keepdims=True)
    images = generator.generate(
        condition, n=n, seed=seed, steps=steps, guidance=guidance, on_step=on_step
    )
    cosines = _cosines(encoder, images, condition[0])
    images = [
        image.with_provenance(
            encoder=encoder.spec.name,
            encoder_revision=encoder.revision,
            slide=slide.path.name,
            slide_fingerprint=slide.fingerprint,
            points=tuple(places),
            box=boxes[0],
            mpp=side / image.pixels.shape[1] * mpp,
            fidelity={"cosine_to_condition": round(cosine, 4)},
        )
        for image, cosine in zip(images, cosines, strict=True)
    ]
    return Variation(
        images, boxes[0], tiles[0], mpp, str(slide.path), slide.fingerprint
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


def _cosines(
    encoder: Encoder, images: Sequence[SyntheticImage], condition: NDArray[np.float32]
) -> list[float]:
    from PIL import Image

    size = (encoder.spec.tile_px, encoder.spec.tile_px)
    seen = np.stack(
        [
            np.asarray(Image.fromarray(i.pixels).resize(size, Image.Resampling.BICUBIC))
            if i.pixels.shape[:2] != size
            else i.pixels
            for i in images
        ]
    )
    cls = encoder.encode(seen).cls
    norms = np.linalg.norm(cls, axis=1) * np.linalg.norm(condition)
    return [float(v) for v in cls @ condition / np.maximum(norms, 1e-12)]
