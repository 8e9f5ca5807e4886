"""The OpenSlide backend: every vendor format, and the judge of pixels."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._colour import composite_on_white
from napari_pathfm.slides._hamamatsu import key_file_parts
from napari_pathfm.slides._levels import BackendName, Level
from napari_pathfm.slides._mirax import mirax_parts
from napari_pathfm.slides._mpp import plausible, positive
from napari_pathfm.slides._witness import Witness

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import openslide
    from numpy.typing import NDArray
    from PIL import Image

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._tiles import TiffTiles

# Decoded slide tiles that OpenSlide keeps for one slide, 4 bytes a pixel.
CACHE_BYTES = 192 * 2**20

# A picture of the whole glass is far smaller.
MAX_ASSOCIATED_PIXELS = 100_000_000

# What OpenSlide says of a Leica slide whose pictures were all lit otherwise.
_NO_BRIGHT_FIELD = "Can't find main image"


def detect_vendor(path: Path) -> str | None:
    """Name the vendor of the format, or None where OpenSlide does not know the file."""
    import openslide

    try:
        return openslide.OpenSlide.detect_format(path)
    except openslide.OpenSlideError:
        return None


class OpenSlideBackend:
    """One file through OpenSlide.

    OpenSlide handles are safe to read from many threads, but one failed read puts a
    handle into an error state for good. So a failed read is tried once more on a fresh
    handle, which also takes the broken one's place: what is whole stays readable.
    """

    name: BackendName = "openslide"
    tiles: TiffTiles | None = None

    def __init__(self, path: Path) -> None:
        import openslide

        self._path = path
        # OpenSlide opens its files by their names again and again.
        parts = [path, *mirax_parts(path), *key_file_parts(path)]
        self._witnesses = [Witness(part, slide=path) for part in parts]
        self.reading = "OpenSlide"
        self._lock = threading.Lock()
        self._cache = openslide.OpenSlideCache(CACHE_BYTES)
        self._handle: openslide.OpenSlide | None = self._open()
        handle = self._handle
        facts = handle.properties
        self.vendor = facts.get("openslide.vendor", "unknown")
        self.levels = tuple(
            Level(width, height, float(downsample))
            for (width, height), downsample in zip(
                handle.level_dimensions, handle.level_downsamples, strict=True
            )
        )
        for level in self.levels:
            # Reading one would never end: a BIF of a single column or row of tiles.
            if level.width < 1 or level.height < 1:
                raise SlideError(
                    f"{path.name} cannot be read by OpenSlide, which finds no size in "
                    "it: convert it to a pyramidal TIFF by the scanner's own software"
                )
        self.quickhash = _quickhash(path, facts)
        self.tile_sizes = tuple(
            _tile_size(facts, index) for index in range(len(self.levels))
        )
        self.objective = positive(facts.get("openslide.objective-power"))
        self.mpp = self._stated_mpp(facts)
        self.icc_profile = _profile(handle)
        self._apply: ToSrgb | None = None
        # A label can show a patient's name: it is read when asked for, never listed.
        self.associated = tuple(
            sorted(
                name for name in handle.associated_images if "label" not in name.lower()
            )
        )

    def _open(self) -> openslide.OpenSlide:
        import openslide

        try:
            handle = openslide.OpenSlide(self._path)
            handle.set_cache(self._cache)
        except (openslide.OpenSlideError, OSError) as error:
            if _reason(error) == _NO_BRIGHT_FIELD:
                raise SlideError(
                    f"{self._path.name} has no bright-field picture (fluorescence?); "
                    "only 8-bit RGB slides are supported: convert it to RGB"
                ) from error
            raise SlideError(
                f"{self._path.name} cannot be opened, it is damaged or incomplete "
                f"({_reason(error)}): copy it again from its source"
            ) from error
        return handle

    def _stated_mpp(self, facts: Mapping[str, str]) -> tuple[float, float] | None:
        across = positive(facts.get("openslide.mpp-x"))
        down = positive(facts.get("openslide.mpp-y"))
        if across is None or down is None:
            return None
        # A generic TIFF's figure is its print resolution: often 72 dpi, which says
        # nothing.
        if self.vendor == "generic-tiff" and not (
            plausible(across) and plausible(down)
        ):
            return None
        return across, down

    def _current(self) -> openslide.OpenSlide:
        handle = self._handle
        if handle is None:
            raise SlideError(f"{self._path.name} is closed: open it again")
        for witness in self._witnesses:
            witness.check()
        return handle

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read pixels exactly as OpenSlide gives them, on white."""
        pixels = self._read(level, x, y, width, height)
        return pixels if self._apply is None else self._apply(pixels)

    def use_profile(self, apply: ToSrgb) -> None:
        """Give all colours by a transform from now on."""
        self._apply = apply

    def _read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        import openslide

        handle = self._current()
        try:
            return _on_white(handle.read_region((x, y), level, (width, height)))
        except openslide.OpenSlideError:
            pass
        # Either this region is damaged or another thread's was: a fresh handle tells.
        fresh = self._open()
        try:
            return _on_white(fresh.read_region((x, y), level, (width, height)))
        except openslide.OpenSlideError as error:
            fresh = self._open()
            raise SlideError(
                f"{self._path.name} is damaged at x={x}, y={y} (level {level}, "
                f"{width}x{height} px): {_reason(error)}; copy it again from its source"
            ) from error
        finally:
            with self._lock:
                if self._handle is handle:
                    self._handle = fresh

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Read an associated image; `KeyError` where there is none."""
        import openslide

        # On its own handle, so that a damaged one leaves the slide readable.
        self._current()
        with contextlib.closing(self._open()) as handle:
            width, height = (
                int(handle.properties.get(f"openslide.associated.{name}.{side}", 0))
                for side in ("width", "height")
            )
            if width * height > MAX_ASSOCIATED_PIXELS:
                raise SlideError(
                    f"{self._path.name}: its image {name!r} says that it has {width} x "
                    f"{height} px: the file is damaged, copy it again from its source"
                )
            try:
                return _on_white(handle.associated_images[name])
            except openslide.OpenSlideError as error:
                raise SlideError(
                    f"{self._path.name}: its image {name!r} is damaged "
                    f"({_reason(error)}); copy the file again from its source"
                ) from error

    def close(self) -> None:
        """Let the file go, once the reads that are under way have ended."""
        # Not handle.close(): a read in another thread would be left with freed memory.
        # The handle closes itself when the last reader lets it go.
        with self._lock:
            self._handle = None


def _on_white(image: Image.Image) -> NDArray[np.uint8]:
    """Composite RGBA on white; uint8 ``(h, w, 3)``, contiguous."""
    rgba = np.asarray(image)
    alpha = rgba[..., 3]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(rgba[..., :3])
    return composite_on_white(rgba)


def _profile(handle: openslide.OpenSlide) -> bytes | None:
    """Give the slide's ICC profile, or None; a damaged one counts as none."""
    import openslide

    try:
        profile = handle.color_profile
    except (openslide.OpenSlideError, OSError):
        return None
    return None if profile is None else bytes(profile.tobytes())


def _quickhash(path: Path, facts: Mapping[str, str]) -> str | None:
    """Give OpenSlide's hash of a slide that is several files; None of any other."""
    vendor = facts.get("openslide.vendor")
    keys = path.suffix.lower() in (".vms", ".vmu")
    if vendor in ("mirax", "dicom") or (vendor == "hamamatsu" and keys):
        return facts.get("openslide.quickhash-1")
    return None


def _tile_size(facts: Mapping[str, str], level: int) -> tuple[int, int]:
    """Give a level's tile ``(width, height)``; 256 px where the format does not say."""
    width = facts.get(f"openslide.level[{level}].tile-width")
    height = facts.get(f"openslide.level[{level}].tile-height")
    if not (width and height):
        return 256, 256
    return int(width), int(height)


def _reason(error: Exception) -> str:
    """Put a library's message on one line."""
    return " ".join(str(error).split()) or type(error).__name__
