"""Pixels with their place on a slide: what OME-TIFF and OME-Zarr hold of ours."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import MissingMppError, OutputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.exports._features import RGB
    from napari_pathfm.generators import SyntheticImage
    from napari_pathfm.heatmaps import Heatmap

Kind = Literal["heatmap", "synthetic"]

#: Okabe and Ito's colours, told apart by the colour-blind, for channels without any.
COLORS: tuple[RGB, ...] = (
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
)

WHITE: RGB = (255, 255, 255)

#: A pyramid's last level is at most this wide and high.
SMALLEST_LEVEL = 256


@dataclass(frozen=True, eq=False)
class PlacedPixels:
    """Numbers or synthetic tissue, and where they lie on a slide.

    Attributes
    ----------
    kind : str
        ``"heatmap"`` or ``"synthetic"``.
    pixels : ndarray
        float32 ``(channels, rows, columns)`` of heatmaps, NaN where there is nothing;
        uint8 ``(rows, columns, 3)`` of synthetic tissue.
    origin : (float, float)
        Level-0 ``(x, y)`` of the first pixel's top-left corner.
    stride : float
        Level-0 pixels per pixel.
    mpp : float
        Micrometres per level-0 pixel.
    name : str
        For people.
    channels : tuple of str
        Their names; of synthetic tissue one.
    colors : tuple of (r, g, b)
        One per channel, 0 to 255.
    limits : tuple of (float, float)
        Per channel: the values between which colours should spread.
    provenance : tuple of dict
        One per channel.
    """

    kind: Kind
    pixels: npt.NDArray[Any]
    origin: tuple[float, float]
    stride: float
    mpp: float
    name: str
    channels: tuple[str, ...]
    colors: tuple[RGB, ...]
    limits: tuple[tuple[float, float], ...]
    provenance: tuple[dict[str, Any], ...]

    @property
    def pixel_um(self) -> float:
        """Side of a pixel in micrometres."""
        return float(self.stride * self.mpp)

    @property
    def fingerprint(self) -> str | None:
        """Of the slide that they lie on, where it is known."""
        found = (entry.get("slide_fingerprint") for entry in self.provenance)
        return next((str(value) for value in found if value), None)

    def heatmaps(self) -> list[Heatmap]:
        """Give each channel as the heatmap that it is; none of synthetic tissue."""
        from napari_pathfm.heatmaps import Heatmap

        if self.kind != "heatmap":
            return []
        return [
            Heatmap(plane, self.origin, self.stride, self.mpp, name, limits, made_by)
            for plane, name, limits, made_by in zip(
                self.pixels, self.channels, self.limits, self.provenance, strict=True
            )
        ]

    def levels(self) -> list[npt.NDArray[Any]]:
        """Give the pyramid: each level has half the size, rounded up, of the one above.

        A pixel is the mean of the four that it stands for, without those that are NaN,
        so that level ``k`` has exactly ``2**k`` times the stride from the same corner.
        """
        rows, columns = (0, 1) if self.kind == "synthetic" else (1, 2)
        levels = [self.pixels]
        while max(levels[-1].shape[a] for a in (rows, columns)) > SMALLEST_LEVEL:
            levels.append(_halved(levels[-1], rows, columns))
        return levels


def heatmap_pixels(
    heatmaps: Sequence[Heatmap], *, colors: Sequence[RGB] | None = None
) -> PlacedPixels:
    """Join heatmaps of one grid as the channels of one picture.

    Parameters
    ----------
    heatmaps : sequence of Heatmap
        At least one; probability maps of several classes, say.
    colors : sequence of (r, g, b), optional
        One per heatmap; the colours of Okabe and Ito where not given.

    Raises
    ------
    OutputError
        There is no value in them, or they lie on different grids.
    MissingMppError
        One does not know its pixel size.
    """
    if not heatmaps:
        raise OutputError("Nothing to export: there is no heatmap.")
    first = heatmaps[0]
    for heatmap in heatmaps:
        if np.ndim(heatmap.values) != 2 or np.isnan(heatmap.values).all():
            raise OutputError(
                f"Nothing to export: the heatmap {heatmap.name!r} holds no values."
            )
        if not heatmap.mpp:
            raise MissingMppError(
                f"The heatmap {heatmap.name!r} has no pixel size; give micrometres per "
                "pixel (--mpp) and make it again."
            )
        if _grid(heatmap) != _grid(first) or _slide(heatmap) != _slide(first):
            raise OutputError(
                f"The heatmaps {first.name!r} and {heatmap.name!r} lie on different "
                "grids or slides; export them one by one."
            )
    return PlacedPixels(
        "heatmap",
        np.stack([np.asarray(h.values, np.float32) for h in heatmaps]),
        (float(first.origin[0]), float(first.origin[1])),
        float(first.stride),
        float(first.mpp),
        first.name if len(heatmaps) == 1 else ", ".join(h.name for h in heatmaps),
        tuple(h.name for h in heatmaps),
        tuple(colors or (COLORS[n % len(COLORS)] for n in range(len(heatmaps)))),
        tuple((float(h.limits[0]), float(h.limits[1])) for h in heatmaps),
        tuple(_plain(h.provenance) for h in heatmaps),
    )


def synthetic_pixels(
    image: SyntheticImage, *, mpp: float | None = None, name: str = "Synthetic tissue"
) -> PlacedPixels:
    """Place a synthetic image where its provenance says: a tile, a repaired region.

    Parameters
    ----------
    image : SyntheticImage
        Its provenance must have the ``box``.
    mpp : float, optional
        Micrometres per level-0 pixel of the slide; from the image's own pixel size and
        its box where not given.
    name : str
        For people.

    Raises
    ------
    OutputError
        It does not say where it belongs, or is stretched.
    """
    made_by = image.provenance
    if made_by.box is None:
        raise OutputError(
            f"{name} does not say where on a slide it belongs; save it as PNG."
        )
    rows, columns = image.pixels.shape[:2]
    x, y, width, height = (float(value) for value in made_by.box)
    stride = width / columns
    # Half a pixel over the whole height is no stretching: boxes may be rounded.
    if stride <= 0 or abs(height - stride * rows) > max(0.5, stride / 2):
        raise OutputError(
            f"{name} is {columns}x{rows} pixels for {width:g}x{height:g} of the slide: "
            "its pixels are not square; save it as PNG."
        )
    return PlacedPixels(
        "synthetic",
        np.ascontiguousarray(image.pixels, dtype=np.uint8),
        (x, y),
        stride,
        float(mpp or made_by.mpp / stride),
        name,
        (name,),
        (WHITE,),
        ((0.0, 255.0),),
        (made_by.to_dict(),),
    )


def _grid(heatmap: Heatmap) -> tuple[Any, ...]:
    return (
        np.shape(heatmap.values),
        *(round(float(value), 6) for value in heatmap.origin),
        round(float(heatmap.stride), 6),
        round(float(heatmap.mpp), 9),
    )


def _slide(heatmap: Heatmap) -> Any:
    return heatmap.provenance.get("slide_fingerprint")


def _plain(provenance: dict[str, Any]) -> dict[str, Any]:
    """Give plain JSON types."""
    found: dict[str, Any] = json.loads(json.dumps(provenance, default=str))
    return found


def _halved(pixels: npt.NDArray[Any], rows: int, columns: int) -> npt.NDArray[Any]:
    """Give the means of blocks of two by two; at an odd edge of what there is."""
    padding = [(0, 0)] * pixels.ndim
    padding[rows] = (0, pixels.shape[rows] % 2)
    padding[columns] = (0, pixels.shape[columns] % 2)
    if pixels.dtype == np.uint8:
        even: npt.NDArray[Any] = np.pad(pixels, padding, mode="edge").astype(np.uint16)
    else:
        even = np.pad(pixels, padding, constant_values=np.nan)
    quarters = np.stack(
        [
            even[tuple(_every_other(even.ndim, {rows: row, columns: column}))]
            for row in (0, 1)
            for column in (0, 1)
        ]
    )
    if pixels.dtype == np.uint8:
        bytes_: npt.NDArray[Any] = ((quarters.sum(axis=0) + 2) // 4).astype(np.uint8)
        return bytes_
    known = ~np.isnan(quarters)
    count = known.sum(axis=0)
    # Infinities of both signs have no mean; nor has nothing.
    with np.errstate(invalid="ignore"):
        total = np.where(known, quarters, np.float32(0)).sum(axis=0)
        mean = total / np.where(count, count, 1)
    mean = np.where(count, mean, np.nan).astype(pixels.dtype)
    return mean


def _every_other(ndim: int, starts: dict[int, int]) -> list[slice]:
    return [
        slice(starts[axis], None, 2) if axis in starts else slice(None)
        for axis in range(ndim)
    ]
