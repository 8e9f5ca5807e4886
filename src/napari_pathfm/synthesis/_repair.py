"""A fold, a pen mark or a bubble, made anew from what is around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import Known, area_settings, generate_area
from napari_pathfm.synthesis._condition import (
    boxes_around,
    check_pair,
    check_points,
    read_boxes,
    slide_details,
)
from napari_pathfm.synthesis._fidelity import cosine, embed_tiles
from napari_pathfm.synthesis._lattice import check_memory, lattice_of
from napari_pathfm.synthesis._mask import cells_of, mask_json, mask_pixels, mask_shape
from napari_pathfm.synthesis._placed import PlacedImages
from napari_pathfm.synthesis._seam import FEATHER, composite, edge_step, filled
from napari_pathfm.synthesis._surroundings import (
    check_tissue,
    clean_tiles,
    region_around,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator, OnStep
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis._lattice import Lattice
    from napari_pathfm.synthesis._surroundings import Region

    Box = tuple[float, float, float, float]
    Point = tuple[float, float]

# Share of a window's cells under the mask from which on it says too little of itself.
_HIDDEN = 0.5


@dataclass(frozen=True, eq=False)
class Repair(PlacedImages):
    """A part of a slide with what lies under a mask made anew, once per seed.

    `source` is the real part; see `PlacedImages` for the rest.

    Attributes
    ----------
    mask : ndarray
        bool ``(h, w)``: the pixels that are synthetic. All others are the slide's, bit
        for bit, as it is read at the generator's resolution.
    """

    axis: ClassVar[str] = "repair"

    mask: NDArray[np.bool_]

    @property
    def title(self) -> str:
        """Name of the layer, which the canvas shows."""
        first = self.images[0].provenance
        return f"Synthetic repair · {first.generator} · seed {first.seed}"


def repair(
    slide: Slide,
    mask: BaseGeometry | Box,
    generator: Generator,
    encoder: Encoder,
    *,
    like: Sequence[Point] = (),
    n: int = 1,
    feather: int = FEATHER,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> Repair:
    """Make what lies under a mask anew, from its surroundings.

    The part around the mask is encoded with the mask painted over. After each step of
    the flow, the latents that the mask does not touch are set to what they are at that
    time (as RePaint does, Lugmayr et al. 2022, with the same noise throughout), so that
    the rest grows to fit. What comes out is plausible, not what was there: no count or
    measurement may be taken from it.

    Parameters
    ----------
    slide : Slide
        With a known pixel size.
    mask : shapely polygon or multipolygon, or (x, y, width, height)
        Level-0 pixels.
    generator : Generator
        One that gives its latent flow.
    encoder : Encoder
        The one that ``generator.spec.encoder`` names.
    like : sequence of (float, float)
        Level-0 points whose tiles' mean embedding is the condition; by default the
        part itself with the mask painted over in the colours around it, and where the
        mask covers most of it, the nearest tiles with tissue that it does not touch.
    n : int
        Repairs, with seeds that count up.
    feather : int
        See `composite`.
    seed, steps, guidance, sampler, preset, on_step
        See `generate_area`.

    Returns
    -------
    Repair

    Raises
    ------
    OutsideSlideError
        If mask or points lie outside the slide.
    MissingMppError
        If the slide's pixel size is unknown.
    PathfmError
        If the mask is empty or leaves nothing around it, the encoder is another than
        the generator's, or a setting makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    spec = generator.spec
    check_pair(spec, encoder)
    mpp = slide.require_mpp()
    shape = mask_shape(slide, mask)
    places = check_points(slide, like) if like else []
    if n < 1:
        raise PathfmError(f"{n} repairs were asked for: ask for at least one")
    if feather < 0:
        raise PathfmError(f"a feather of {feather} px makes no sense: use 0 to 64")
    chosen: dict[str, Any] = {
        "steps": steps,
        "guidance": guidance,
        "sampler": sampler,
        "preset": preset,
    }
    area_settings(generator, **chosen)
    lattice = lattice_of(slide, generator, generator.flow(on_step))
    region = region_around(shape, slide, lattice)
    check_memory(region.height * region.width * lattice.px**2)
    masked = mask_pixels(shape, lattice, *region.cells)
    if not masked.any():
        raise PathfmError(
            f"the mask is smaller than a pixel of {lattice.mpp:g} um: draw a larger one"
        )
    unknown = cells_of(masked, lattice.px)
    if unknown.all():
        raise PathfmError(
            "the mask leaves nothing around it to go by: draw a smaller one"
        )
    windows = [
        (r, c)
        for r, c in region.windows(lattice.side)
        if unknown[r : r + lattice.side, c : c + lattice.side].any()
    ]
    check_tissue(slide, lattice, region, windows)
    real = lattice.read(slide, *region.cells)
    plain = filled(real, masked)
    if places:
        tiles = read_boxes(slide, boxes_around(slide, places, spec), spec)
        mean = embed_tiles(encoder, tiles).mean(0, keepdims=True)
        conditions = np.repeat(mean, len(windows), 0)
    else:
        conditions = _surroundings(
            slide, shape, encoder, lattice, region, plain, unknown, windows
        )

    box = lattice.box(*region.cells)
    images = []
    for number in range(n):
        image = generate_area(
            generator,
            (region.height, region.width),
            windows,
            conditions,
            place=(region.row, region.column),
            known=Known(plain, unknown),
            seed=seed + number,
            on_step=_of_several(on_step, number, n),
            **chosen,
        )
        pixels = composite(real, image.pixels, masked, feather)
        tile = lattice.tile_px
        corners = [(r * lattice.px, c * lattice.px) for r, c in windows]
        seen = embed_tiles(
            encoder, [pixels[y : y + tile, x : x + tile] for y, x in corners]
        )
        near = [cosine(s, told) for s, told in zip(seen, conditions, strict=True)]
        image = type(image)(pixels, image.provenance)
        images.append(
            image.with_provenance(
                action="repair",
                details={
                    **slide_details(slide),
                    "mask": mask_json(shape),
                    "masked_px": int(masked.sum()),
                    "feather": feather,
                },
                encoder=encoder.spec.name,
                encoder_revision=encoder.revision,
                slide=slide.path.name,
                slide_fingerprint=slide.fingerprint,
                points=tuple(places),
                box=box,
                mpp=lattice.pixel * mpp,
                fidelity={
                    "cosine_to_condition": round(float(np.mean(near)), 4),
                    "seam": edge_step(pixels, masked),
                },
            )
        )
    return Repair(
        images, box, real, mpp, str(slide.path), slide.fingerprint, mask=masked
    )


def _surroundings(
    slide: Slide,
    shape: BaseGeometry,
    encoder: Encoder,
    lattice: Lattice,
    region: Region,
    plain: NDArray[np.uint8],
    unknown: NDArray[np.bool_],
    windows: list[tuple[int, int]],
) -> NDArray[np.float32]:
    """Tell each window what it shows with the mask painted over.

    A window that is masked for the most part shows too little: it is told the mean
    embedding of the clean tiles nearest to it.
    """
    side, tile = lattice.side, lattice.tile_px
    corners = [(r * lattice.px, c * lattice.px) for r, c in windows]
    told = embed_tiles(encoder, [plain[y : y + tile, x : x + tile] for y, x in corners])
    shares = [unknown[r : r + side, c : c + side].mean() for r, c in windows]
    hidden = [i for i, share in enumerate(shares) if share > _HIDDEN]
    if hidden:
        chosen = clean_tiles(
            slide, shape, lattice, region, [windows[i] for i in hidden]
        )
        tiles = sorted({place for own in chosen for place in own})
        found = dict(zip(tiles, lattice.encode(slide, encoder, tiles), strict=True))
        for i, own in zip(hidden, chosen, strict=True):
            told[i] = np.mean([found[place] for place in own], 0)
    return told


def _of_several(on_step: OnStep | None, number: int, n: int) -> OnStep | None:
    """Count the passes of one image among those of all."""
    if on_step is None:
        return None

    def counted(
        step: int, total: int, preview: NDArray[np.uint8] | None
    ) -> bool | None:
        return on_step(number * total + step, n * total, preview)

    return counted
