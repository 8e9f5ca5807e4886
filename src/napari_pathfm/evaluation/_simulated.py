"""Simulated scanners and stainings, for those who have one slide of each tissue.

The conditions vary what `training._views` varies, but each is the same for all tiles
and has a name: stain densities in the haematoxylin-eosin-DAB space (Ruifrok and
Johnston 2001), and what scanners differ in: focus, pixel size, tone and JPEG. The
figures are our choice. They say which of two encoders minds such changes more; they
are no substitute for PLISM.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._codec import codec_of, jpeg
from napari_pathfm.evaluation._fields import lattice
from napari_pathfm.evaluation._registered import Condition, Registered
from napari_pathfm.evaluation._tiles import encode_tiles, encoder_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder

# Rows: optical density of haematoxylin, eosin, DAB in R, G, B (Ruifrok and Johnston).
_STAINS = np.array(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]]
)


@dataclass(frozen=True)
class Staining:
    """How much of each stain there is.

    Attributes
    ----------
    name : str
        For people.
    scale : tuple of float
        Factors of the densities of haematoxylin, eosin and DAB.
    """

    name: str
    scale: tuple[float, float, float]


@dataclass(frozen=True)
class Scanner:
    """How a slide is digitised.

    Attributes
    ----------
    name : str
        For people.
    blur : float
        Standard deviation of a Gaussian in pixels.
    shrink : float
        Resized to this share and back.
    gamma : float
        Exponent of the tone curve.
    gain : tuple of float
        Factors of R, G and B.
    quality : int or None
        JPEG quality, with chroma at half resolution; None is lossless.
    """

    name: str
    blur: float = 0.0
    shrink: float = 1.0
    gamma: float = 1.0
    gain: tuple[float, float, float] = (1.0, 1.0, 1.0)
    quality: int | None = None


STAININGS = (
    Staining("as it is", (1.0, 1.0, 1.0)),
    Staining("more haematoxylin", (1.3, 0.9, 1.0)),
    Staining("more eosin", (0.85, 1.3, 1.0)),
    Staining("pale", (0.7, 0.7, 0.8)),
)

SCANNERS = (
    Scanner("as it is"),
    Scanner("soft", blur=1.0, quality=80),
    Scanner("coarse", shrink=0.6, gamma=0.9, quality=70),
    Scanner("warm", gamma=1.15, gain=(1.0, 0.97, 0.9), quality=85),
    Scanner("compressed", gain=(0.95, 0.98, 1.0), quality=35),
)


def restain(tile: NDArray[np.uint8], staining: Staining) -> NDArray[np.uint8]:
    """Scale the density of each stain in uint8 ``(h, w, 3)``."""
    if staining.scale == (1.0, 1.0, 1.0):
        return tile
    stains = _STAINS / np.linalg.norm(_STAINS, axis=1, keepdims=True)
    density = -np.log10(np.maximum(tile, 1) / 255)
    amount = density @ np.linalg.inv(stains) * np.asarray(staining.scale)
    return _bytes(255 * np.power(10, -(amount @ stains)))


def rescan(tile: NDArray[np.uint8], scanner: Scanner) -> NDArray[np.uint8]:
    """Show uint8 ``(h, w, 3)`` as a scanner would: optics, sensor, tone, file."""
    from PIL import Image, ImageFilter

    image = Image.fromarray(tile)
    if scanner.blur:
        image = image.filter(ImageFilter.GaussianBlur(scanner.blur))
    if scanner.shrink != 1:
        width, height = image.size
        small = (
            max(1, round(width * scanner.shrink)),
            max(1, round(height * scanner.shrink)),
        )
        image = image.resize(small, Image.Resampling.BICUBIC)
        image = image.resize((width, height), Image.Resampling.BICUBIC)
    if scanner.gamma != 1 or scanner.gain != (1.0, 1.0, 1.0):
        unit = np.asarray(image) / 255
        image = Image.fromarray(_bytes(255 * unit**scanner.gamma * scanner.gain))
    pixels = np.asarray(image)
    return pixels if scanner.quality is None else jpeg(pixels, scanner.quality)


def simulated_slides(
    path: Path,
    encoder: Encoder,
    *,
    mpp: float | None = None,
    stride: float | None = None,
    stainings: Sequence[Staining] | None = None,
    scanners: Sequence[Scanner] | None = None,
    limit: int = 500,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Registered:
    """Make a set of registered slides from one, by every staining on every scanner.

    Parameters
    ----------
    path : Path
        A slide.
    encoder : Encoder
        What looks.
    mpp : float, optional
        Micrometres per level-0 pixel, where the file does not say.
    stride : float, optional
        From one tile to the next, in pixels at the encoder's mpp; a tile by default.
    stainings, scanners : sequence, optional
        `STAININGS` and `SCANNERS` by default.
    limit : int
        The most places; more are drawn from at random.
    seed : int
        Of that draw.
    progress : callable, optional
        Hears ``(tiles done, tiles)``.

    Raises
    ------
    MissingMppError
        If the pixel size is not known.
    PathfmError
        If the slide has no tissue.
    """
    from napari_pathfm.slides import open_slide

    spec = encoder.spec
    with open_slide(path, mpp=mpp) as slide:
        pixel = slide.require_mpp()
        side = spec.tile_px * spec.mpp / pixel
        step = side if stride is None else stride * spec.mpp / pixel
        places = lattice(slide, side, step)
        found = len(places)
        if found > limit:
            rows = np.random.default_rng(seed).permutation(found)[:limit]
            places = places[np.sort(rows)]
        tiles = [
            slide.read(float(x), float(y), spec.tile_px, spec.tile_px, mpp=spec.mpp)
            for x, y in places
        ]
        source = slide.mpp_source
    if not tiles:
        raise PathfmError(f"{path} has no tissue to simulate scanners on")
    ways = list(product(stainings or STAININGS, scanners or SCANNERS))
    features = []
    stained, of = tiles, STAININGS[0]
    for number, (staining, scanner) in enumerate(ways):
        if staining is not of:
            stained, of = [restain(tile, staining) for tile in tiles], staining
        changed = (rescan(tile, scanner) for tile in stained)
        features.append(encode_tiles(changed, encoder))
        if progress is not None:
            progress((number + 1) * len(tiles), len(ways) * len(tiles))
    facts = encoder_facts(encoder) | {
        "codec": f"{codec_of([path])}, then as each scanner",
        "mpp": spec.mpp,
        "mpp_source": source,
        "layout": "simulated scanners and stainings",
        "simulated": True,
        "places": f"{len(tiles)} of {found} tissue tiles of {path.name}",
    }
    conditions = tuple(
        Condition(f"{staining.name} / {scanner.name}", staining.name, scanner.name)
        for staining, scanner in ways
    )
    return Registered(
        conditions,
        features.__getitem__,
        len(tiles),
        facts,
        (
            "Scanners and stainings are simulated: these figures rank encoders on this "
            "slide, and are not PLISM's.",
        ),
    )


def _bytes(values: NDArray[np.floating]) -> NDArray[np.uint8]:
    whole: NDArray[np.uint8] = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return whole
