"""Synthetic images and the place that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import SyntheticImage
    from napari_pathfm.slides import Slide


@dataclass(frozen=True, eq=False)
class PlacedImages:
    """Synthetic images that all stand for the same place.

    Attributes
    ----------
    images : list of SyntheticImage
        All of the same size.
    box : (float, float, float, float)
        Level-0 ``(x, y, width, height)`` that each image stands for.
    source : ndarray
        uint8 ``(px, px, 3)``: the real tile there.
    slide_mpp : float
        Micrometres per level-0 pixel.
    slide_path, slide_fingerprint : str
        Whose tissue it was.
    """

    #: What a step of the slider is.
    axis: ClassVar[str] = "image"

    images: list[SyntheticImage]
    box: tuple[float, float, float, float]
    source: NDArray[np.uint8]
    slide_mpp: float
    slide_path: str
    slide_fingerprint: str

    @property
    def fidelity(self) -> list[float]:
        """Cosine of each image's embedding to its condition, by the same encoder.

        It is the very encoder that conditioned the generator: a high cosine is expected
        and proves little. Of unconditional images, the cosine to the real tile in their
        place.
        """
        told = [i.provenance.fidelity for i in self.images]
        return [
            f["cosine_to_condition"]
            if "cosine_to_condition" in f
            else f["cosine_to_place"]
            for f in told
        ]

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return f"Synthetic · {first.generator} · seed {first.seed}"

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """All images: uint8 ``(n, h, w, 3)``."""
        return np.stack([image.pixels for image in self.images])

    def to_layer(
        self, *, name: str | None = None
    ) -> tuple[NDArray[np.uint8], dict[str, Any], str]:
        """Give a napari layer-data tuple: ``(n, h, w, 3)``, one image on a slider.

        Parameters
        ----------
        name : str, optional
            Of the layer, in place of `title`.
        """
        from napari_pathfm.slides import grid_transform

        pixels = self.pixels
        x, y, width, _ = self.box
        stride = width / pixels.shape[2]
        scale, translate = grid_transform((x, y), stride, self.slide_mpp)
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
            "name": name or self.title,
            "rgb": True,
            "scale": (1.0, *scale),
            "translate": (0.0, *translate),
            "units": ("pixel", "um", "um"),
            "axis_labels": (self.axis, "y", "x"),
            "metadata": {"napari_pathfm": metadata},
        }
        return pixels, keywords, "image"


def stood_for(
    slide: Slide,
    encoder: Encoder,
    box: tuple[float, float, float, float],
    image: SyntheticImage,
) -> dict[str, Any]:
    """Give what the provenance of a tile at a place of a slide says of both."""
    return {
        "encoder": encoder.spec.name,
        "encoder_revision": encoder.revision,
        "slide": slide.path.name,
        "slide_fingerprint": slide.fingerprint,
        "box": box,
        "mpp": box[2] / image.pixels.shape[1] * slide.require_mpp(),
    }
