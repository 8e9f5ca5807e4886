"""Views of a tile: crops large and small, as other stains and scanners would show them.

All of it is NumPy and Pillow on one tile, so that reading threads do it ahead.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from PIL import Image, ImageFilter

from napari_pathfm.training._config import AtLeast, Between
from napari_pathfm.training._places import through_jpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Optical density of haematoxylin, eosin and DAB in R, G, B (Ruifrok and Johnston 2001).
_STAINS = np.array(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]], np.float32
)
_STAINS /= np.linalg.norm(_STAINS, axis=1, keepdims=True)
_UNMIX = np.linalg.inv(_STAINS)


@dataclass(frozen=True)
class Views:
    """``[views]``: what student and teacher are shown of a tile.

    Attributes
    ----------
    global_px, local_px : int
        Sides of large and small crops; multiples of the patch.
    locals : int
        Small crops of a tile; large ones are two.
    global_scale, local_scale : (float, float)
        Range of a crop's share of the tile's area.
    same : bool
        Whether the second large crop is the first again, differently changed.
    kept : (float, float)
        Range of the share of patches that the student is given in a step; dropped ones
        cost nothing (Li et al. 2023). In distillation only.
    stain : float
        Standard deviation of the factor of each stain's density; its shift has a tenth
        (Tellez et al. 2018).
    tone : float
        Standard deviation of the logarithm of a factor of all densities; each colour
        has three quarters of it once more, and the light up to a tenth of it less. As
        scanners render the same stain from deep to pale, and redder or bluer.
    blur, jpeg, resample : float
        How many of the views are blurred, go through JPEG, or are scaled down and up
        again as by a coarser scanner; 0 to 1.
    """

    global_px: Annotated[int, AtLeast(8)] = 224
    local_px: Annotated[int, AtLeast(8)] = 98
    locals: Annotated[int, AtLeast(0)] = 8
    global_scale: tuple[float, float] = (0.32, 1.0)
    local_scale: tuple[float, float] = (0.05, 0.32)
    same: bool = False
    kept: tuple[float, float] = (1.0, 1.0)
    stain: Annotated[float, AtLeast(0)] = 0.12
    tone: Annotated[float, AtLeast(0)] = 0.0
    blur: Annotated[float, Between(0, 1)] = 0.2
    jpeg: Annotated[float, Between(0, 1)] = 0.2
    resample: Annotated[float, Between(0, 1)] = 0.2

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        for name in ("global_scale", "local_scale", "kept"):
            low, high = getattr(self, name)
            if not 0 < low <= high <= 1:
                return f"{name}: {low} to {high} is no range within 0 and 1"
        return None


def views(
    tile: NDArray[np.uint8], rng: np.random.Generator, told: Views
) -> dict[str, NDArray[np.uint8]]:
    """Draw the views of one tile.

    Returns
    -------
    dict of ndarray
        ``clean`` uint8 ``(2, g, g, 3)``, two large crops as they are; ``global``, the
        same as a scanner would have them; ``local`` ``(locals, l, l, 3)``, likewise.
    """
    large = [crop(tile, rng, told.global_px, told.global_scale)]
    large += (
        large if told.same else [crop(tile, rng, told.global_px, told.global_scale)]
    )
    small = [
        crop(tile, rng, told.local_px, told.local_scale) for _ in range(told.locals)
    ]
    shape = (0, told.local_px, told.local_px, 3)
    return {
        "clean": np.stack(large),
        "global": np.stack([scanned(view, rng, told) for view in large]),
        "local": np.stack([scanned(view, rng, told) for view in small])
        if small
        else np.empty(shape, np.uint8),
    }


def crop(
    tile: NDArray[np.uint8],
    rng: np.random.Generator,
    px: int,
    scale: tuple[float, float],
) -> NDArray[np.uint8]:
    """Cut a square of a random share of the area, flipped and turned, to ``px``."""
    height, width = tile.shape[:2]
    side = min(height, width) * float(np.sqrt(rng.uniform(*scale)))
    x, y = rng.uniform(0, width - side), rng.uniform(0, height - side)
    box = (x, y, x + side, y + side)
    kept = Image.fromarray(tile).resize((px, px), Image.Resampling.BICUBIC, box=box)
    pixels = np.rot90(np.asarray(kept), int(rng.integers(4)))
    return pixels[:, ::-1] if rng.integers(2) else pixels


def scanned(
    view: NDArray[np.uint8], rng: np.random.Generator, told: Views
) -> NDArray[np.uint8]:
    """Change a view as stains and scanners differ; pixels stay in their places."""
    view = toned(stained(view, rng, told.stain), rng, told.tone)
    if rng.random() < told.blur:
        radius = float(rng.uniform(0.3, 1.2))
        soft = Image.fromarray(view).filter(ImageFilter.GaussianBlur(radius))
        view = np.asarray(soft)
    if rng.random() < told.resample:
        px, coarse = len(view), max(int(len(view) * rng.uniform(0.5, 0.9)), 1)
        kind = Image.Resampling(int(rng.choice([2, 3])))  # bilinear or bicubic
        small = Image.fromarray(view).resize((coarse, coarse), kind)
        view = np.asarray(small.resize((px, px), kind))
    if rng.random() < told.jpeg:
        view = through_jpeg(view, int(rng.integers(40, 96)))
    return view


def stained(
    view: NDArray[np.uint8], rng: np.random.Generator, sigma: float
) -> NDArray[np.uint8]:
    """Scale and shift the density of each stain (Ruifrok and Johnston's space)."""
    if sigma == 0:
        return np.ascontiguousarray(view)
    density = -np.log10(np.maximum(view, 1).astype(np.float32) / 255)
    scale = 1 + sigma * rng.standard_normal(3, np.float32)
    shift = 0.1 * sigma * rng.standard_normal(3, np.float32)
    mixed = (density @ _UNMIX * scale + shift) @ _STAINS
    pixels: NDArray[np.uint8] = np.clip(np.rint(255 * 10.0**-mixed), 0, 255).astype(
        np.uint8
    )
    return pixels


def toned(
    view: NDArray[np.uint8], rng: np.random.Generator, sigma: float
) -> NDArray[np.uint8]:
    """Render a view as a scanner of another response would.

    Densities are multiplied, colour by colour, and the light is dimmed; per colour this
    is a curve from pixel to pixel, so a table of 256 values says all.
    """
    if sigma == 0:
        return view
    factor = np.exp(sigma * (rng.standard_normal() + 0.75 * rng.standard_normal(3)))
    light = 1 - 0.1 * sigma * rng.random(3)
    levels = np.maximum(np.arange(256), 1)[:, None] / 255
    table = np.clip(np.rint(255 * light * levels**factor), 0, 255).astype(np.uint8)
    toned: NDArray[np.uint8] = table[view, np.arange(3)]
    return toned


def masks(
    rng: np.random.Generator, side: int, share: float, ratio: tuple[float, float]
) -> NDArray[np.bool_]:
    """Choose patches to hide from the student, in blocks as BEiT does.

    Parameters
    ----------
    rng : Generator
        Randomness.
    side : int
        Patches along an edge.
    share : float
        How many images have any hidden.
    ratio : (float, float)
        Range of the share of an image's patches.

    Returns
    -------
    ndarray
        bool ``(side * side,)``.
    """
    hidden = np.zeros((side, side), bool)
    if rng.random() >= share:
        return hidden.reshape(-1)
    wanted = round(side * side * rng.uniform(*ratio))
    while (left := wanted - int(hidden.sum())) > 0:
        # Aspect ratios of BEiT's blocks, 0.3 to 1 / 0.3; never more than is left.
        aspect = float(np.exp(rng.uniform(np.log(0.3), -np.log(0.3))))
        area = rng.uniform(min(4, left), left) if left > 4 else left
        h = min(max(int(np.sqrt(area * aspect)), 1), side)
        w = min(max(int(area / h), 1), side)
        y, x = rng.integers(side - h + 1), rng.integers(side - w + 1)
        hidden[y : y + h, x : x + w] = True
    return hidden.reshape(-1)
