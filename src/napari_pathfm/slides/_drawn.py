"""A slide that the program draws itself, for when no real one is at hand."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from napari_pathfm.errors import OutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Absorbance of haematoxylin and eosin in red, green and blue, for one unit of stain.
_HAEMATOXYLIN = np.array([1.30, 1.62, 0.86], np.float32)
_EOSIN = np.array([0.24, 1.32, 0.72], np.float32)
_GLASS = 243.0
_TILE = 256

# Centres of neighbouring nuclei lie this far apart, in micrometres.
_EPITHELIUM_SPACING, _STROMA_SPACING = 9.5, 19.0


def draw_slide(
    path: str | os.PathLike[str],
    *,
    width: int = 4096,
    height: int = 3072,
    mpp: float = 0.5,
    seed: int = 0,
    levels: int = 3,
) -> Path:
    """Draw an H&E-like slide: glass, a piece of stroma, nests of epithelium, nuclei.

    Parameters
    ----------
    path : str or path-like
        Where to write a tiled, pyramidal, losslessly compressed TIFF.
    width, height : int
        Size of level 0 in pixels, at least 64.
    mpp : float
        Micrometres per pixel; what is drawn keeps its size in micrometres.
    seed : int
        The same seed gives the same slide.
    levels : int
        Resolutions in the file, each half of the one before.

    Returns
    -------
    Path
        The file. It is written whole or not at all.

    Raises
    ------
    OutputError
        Where it cannot be written.
    """
    import tifffile

    file = Path(path)
    pixels = draw_tissue(width, height, mpp=mpp, seed=seed)
    partial = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        with tifffile.TiffWriter(partial, bigtiff=False) as tif:
            for level in range(levels):
                if level:
                    pixels = _halve(pixels)
                per_cm = 10_000 / (mpp * 2**level)
                tif.write(
                    pixels,
                    tile=(_TILE, _TILE),
                    photometric="rgb",
                    compression="zlib",
                    predictor=True,
                    resolution=(per_cm, per_cm),
                    resolutionunit="CENTIMETER",
                    subfiletype=1 if level else 0,
                    description=None if level else f"drawn slide, seed {seed}",
                    software="napari-pathfm",
                    metadata=None,
                )
        partial.replace(file)
    except OSError as error:
        raise OutputError(
            f"{file} cannot be written ({error.strerror}): choose another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return file


def draw_tissue(width: int, height: int, *, mpp: float, seed: int) -> NDArray[np.uint8]:
    """Draw the picture itself; uint8 ``(height, width, 3)``."""
    rng = np.random.default_rng(seed)
    shape = (height, width)

    def noise(micrometres: float) -> NDArray[np.float32]:
        """Smooth noise of about unit variance that varies over this distance."""
        return _noise(rng, shape, micrometres / mpp)

    inside = _outline(shape) + 0.16 * noise(350) + 0.05 * noise(70) + 0.015 * noise(12)
    tissue = np.clip(inside * 25, 0, 1)
    nests = noise(170) + 0.35 * noise(50) - 0.35
    epithelium = np.clip(nests * 6, 0, 1) * tissue
    stroma = tissue - epithelium

    across = _across(shape, mpp, noise(220))
    fibres = _fibres(rng, across) + 0.07 * noise(4)
    clefts = np.clip((fibres - 0.17) * 6, 0, 1)
    eosin = stroma * clefts * (0.20 + 0.50 * fibres)
    eosin += epithelium * (0.30 + 0.05 * noise(25))
    stain = stroma * clefts * 0.05 + epithelium * (0.20 + 0.05 * noise(8))

    nuclei = np.zeros(shape, np.float32)
    in_epithelium = epithelium > 0.7
    _scatter(rng, nuclei, in_epithelium, mpp, _EPITHELIUM_SPACING, (3.4, 2.7), None)
    in_stroma = (tissue > 0.9) & (epithelium < 0.2)
    _scatter(rng, nuclei, in_stroma, mpp, _STROMA_SPACING, (5.2, 1.5), across)
    stain += nuclei * tissue * (0.62 + 0.10 * noise(1.5))
    eosin *= 1 - 0.6 * nuclei
    return _light(rng, np.maximum(stain, 0), np.maximum(eosin, 0))


def _light(
    rng: np.random.Generator, stain: NDArray[np.float32], eosin: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Shine light through the stains, and add a sensor's noise."""
    grain = 0.8 * rng.standard_normal(stain.shape, np.float32)
    result = np.empty((*stain.shape, 3), np.uint8)
    for channel in range(3):
        density = stain * _HAEMATOXYLIN[channel] + eosin * _EOSIN[channel]
        light = _GLASS * np.exp(-density) + grain + 0.5
        result[..., channel] = np.clip(light, 0, 255)
    return result


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float
) -> NDArray[np.float32]:
    """Random values on a coarse lattice, smoothly enlarged; about unit variance."""
    cell = max(cell, 1.0)
    rows, columns = (int(side / cell) + 3 for side in shape)
    lattice = rng.normal(0, 1.3, (rows, columns)).astype(np.float32)
    box = (1.0, 1.0, 1 + shape[1] / cell, 1 + shape[0] / cell)
    size = (shape[1], shape[0])
    image = Image.fromarray(lattice).resize(size, Image.Resampling.BICUBIC, box=box)
    return np.asarray(image, np.float32)


def _outline(shape: tuple[int, int]) -> NDArray[np.float32]:
    """Positive inside of an ellipse that leaves a margin of glass."""
    y = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    return np.asarray(0.74 - np.hypot(x * 1.0, y * 1.05), np.float32)


def _across(
    shape: tuple[int, int], mpp: float, warp: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Measure the way across the fibres, in micrometres; its level lines are fibres."""
    y = np.arange(shape[0], dtype=np.float32)[:, None] * (0.8 * mpp)
    x = np.arange(shape[1], dtype=np.float32)[None, :] * (0.45 * mpp)
    return np.asarray(y + x + 70 * warp, np.float32)


def _fibres(
    rng: np.random.Generator, across: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Bundles of fibres of several widths, 0 to 1."""
    # One random profile, looked up by distance: eight steps per micrometre.
    steps = 8
    length = 1 << 14
    places = np.arange(length) / steps
    profile = np.zeros(length)
    for thickness, weight in ((17.0, 0.45), (6.0, 0.35), (2.2, 0.20)):
        knots = np.arange(0, places[-1] + 2 * thickness, thickness)
        values = rng.uniform(0, 1, len(knots))
        profile += weight * np.interp(places, knots, values)
    where = (across * steps).astype(np.int32) % length
    return profile.astype(np.float32)[where]


def _scatter(
    rng: np.random.Generator,
    target: NDArray[np.float32],
    where: NDArray[np.bool_],
    mpp: float,
    spacing: float,
    axes: tuple[float, float],
    across: NDArray[np.float32] | None,
) -> None:
    """Draw nuclei into `target` on a jittered lattice inside `where`.

    `spacing` and the half `axes` are in micrometres. The nuclei lie any way, or along
    the fibres that `across` describes.
    """
    height, width = target.shape
    step = spacing / mpp
    rows, columns = int(height / step) + 1, int(width / step) + 1
    lattice = np.indices((rows, columns)).reshape(2, -1).T
    centres = (lattice + rng.uniform(0.1, 0.9, lattice.shape)) * step
    sizes = np.array(axes) / mpp * rng.normal(1, 0.16, lattice.shape).clip(0.6, 1.5)
    turns = rng.uniform(0, np.pi, len(lattice))
    for (row, column), (long, short), turn in zip(centres, sizes, turns, strict=True):
        i, j = int(row), int(column)
        if not (1 <= i < height - 1 and 1 <= j < width - 1 and where[i, j]):
            continue
        angle = turn
        if across is not None:
            down = across[i + 1, j] - across[i - 1, j]
            right = across[i, j + 1] - across[i, j - 1]
            angle = np.arctan2(-right, down) + 0.2 * (turn - np.pi / 2)
        reach = int(max(long, short)) + 2
        top, left = max(0, i - reach), max(0, j - reach)
        patch = target[top : i + reach + 1, left : j + reach + 1]
        y = np.arange(patch.shape[0])[:, None] + (top + 0.5 - row)
        x = np.arange(patch.shape[1])[None, :] + (left + 0.5 - column)
        along = (x * np.cos(angle) + y * np.sin(angle)) / long
        over = (y * np.cos(angle) - x * np.sin(angle)) / short
        disc = np.clip((1.15 - np.hypot(along, over)) * 4, 0, 1)
        np.maximum(patch, disc.astype(np.float32), out=patch)


def _halve(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Average 2 x 2 pixels; an odd last row or column goes."""
    height, width = (max(2, side // 2 * 2) for side in pixels.shape[:2])
    total = pixels[:height, :width].astype(np.uint16)
    total = total[0::2] + total[1::2]
    total = total[:, 0::2] + total[:, 1::2]
    return ((total + 2) // 4).astype(np.uint8)
