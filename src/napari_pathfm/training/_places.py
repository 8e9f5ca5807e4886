"""What a tile can be cut from: a whole slide, or a picture of tissue."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from typing import TYPE_CHECKING, Protocol

import numpy as np

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.slides import Slide, TileGrid

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

# Slides that stay open; each keeps up to 192 MiB of decoded tiles.
_OPEN = 16
# Pictures that stay decoded.
_DECODED = 64
# A pixel below this optical density in all colours carries no stain.
_STAINED_OD = 0.12
# Glass is shown now and then, so that models know it.
_GLASS = 0.15
_TRIES = 20


class Place(Protocol):
    """Something that tiles are cut from.

    ``name`` is what patterns match, ``slide`` what belongs together, ``site`` where it
    comes from.
    """

    @property
    def path(self) -> Path:
        """The file."""

    @property
    def name(self) -> str:
        """What patterns match."""

    @property
    def slide(self) -> str:
        """What belongs together."""

    @property
    def site(self) -> str:
        """Where it comes from."""

    def cut(self, rng: np.random.Generator, px: int, mpp: float) -> NDArray[np.uint8]:
        """Cut a square at random, uint8 ``(px, px, 3)``."""


@dataclass(frozen=True)
class Picture:
    """One picture of a folder, cut anywhere."""

    path: Path
    name: str
    slide: str
    site: str
    mpp: float

    def cut(self, rng: np.random.Generator, px: int, mpp: float) -> NDArray[np.uint8]:
        """Cut a square at random, and again if it is glass (mostly)."""
        from PIL import Image

        pixels = _decoded(self.path)
        height, width = pixels.shape[:2]
        side = min(max(round(px * mpp / self.mpp), 1), height, width)
        for _ in range(_TRIES):
            y = int(rng.integers(height - side + 1))
            x = int(rng.integers(width - side + 1))
            crop = pixels[y : y + side, x : x + side]
            if side == height == width or is_tissue(crop) or rng.random() < _GLASS:
                break
        if side == px:
            return crop
        image = Image.fromarray(crop).resize((px, px), Image.Resampling.BICUBIC)
        return np.asarray(image)


class OpenSlides:
    """The slides read last, with their tiles of tissue; shared by reading threads.

    Parameters
    ----------
    px, mpp : int, float
        Of the tiles.
    own_mpp : float or None
        Of slides whose files do not say.
    """

    def __init__(self, px: int, mpp: float, own_mpp: float | None) -> None:
        self._px, self._mpp, self._own_mpp = px, mpp, own_mpp
        self._lock = threading.Lock()
        self._open: OrderedDict[Path, tuple[Slide, TileGrid]] = OrderedDict()

    def get(self, path: Path) -> tuple[Slide, TileGrid]:
        """Give a slide and its tiles, opened now or before.

        Raises
        ------
        PathfmError
            If it is no slide, has no pixel size or shows no tissue.
        """
        from napari_pathfm.slides import open_slide, tile_grid

        with self._lock:
            found = self._open.pop(path, None)
            if found is None:
                slide = open_slide(path)
                if slide.mpp is None and self._own_mpp is not None:
                    slide.close()
                    slide = open_slide(path, mpp=self._own_mpp)
                grid = tile_grid(slide, px=self._px, mpp=self._mpp)
                if not len(grid):
                    raise PathfmError(f"{path} shows no tissue: take it out")
                found = slide, grid
            self._open[path] = found
            # Not closed: another thread may be reading it. It closes with its last use.
            while len(self._open) > _OPEN:
                self._open.popitem(last=False)
            return found


@dataclass(frozen=True)
class WholeSlide:
    """A slide, cut where there is tissue."""

    path: Path
    name: str
    slide: str
    site: str
    opened: OpenSlides = field(repr=False, compare=False)

    def cut(self, rng: np.random.Generator, px: int, mpp: float) -> NDArray[np.uint8]:
        """Cut at a tile of the tissue, shifted by up to half a tile."""
        slide, grid = self.opened.get(self.path)
        x, y = grid.coords[rng.integers(len(grid))]
        # Zoomed squares keep the centre.
        margin = (grid.tile_size - px * mpp / slide.require_mpp()) / 2
        dx, dy = margin + rng.uniform(-0.5, 0.5, 2) * grid.tile_size
        return slide.read(x + dx, y + dy, px, px, mpp=mpp)


@lru_cache(maxsize=_DECODED)
def _decoded(path: Path) -> NDArray[np.uint8]:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise PathfmError(f"{path} cannot be read ({error}): take it out") from error


def is_tissue(crop: NDArray[np.uint8]) -> bool:
    """Tell whether at least a tenth of the pixels carry stain."""
    density = -np.log10(np.maximum(crop[::4, ::4].min(-1), 1) / 255)
    return bool((density > _STAINED_OD).mean() > 0.1)


def through_jpeg(tile: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Compress and decompress uint8 ``(h, w, 3)``, chroma at half resolution."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(tile).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.asarray(Image.open(file))
