"""OME-Zarr: a folder with an image pyramid, versions 0.4 and 0.5 of OME-NGFF."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from napari_pathfm.errors import SlideError
from napari_pathfm.slides._cache import TileCache
from napari_pathfm.slides._levels import BackendName, Level, position
from napari_pathfm.slides._tiffmeta import MICROMETRES
from napari_pathfm.slides._tiles import CACHE_BYTES

if TYPE_CHECKING:
    from pathlib import Path

    import zarr
    from numpy.typing import NDArray

    from napari_pathfm.slides._colour import ToSrgb
    from napari_pathfm.slides._tiles import TiffTiles

_WAY_OUT = "only 8-bit RGB pyramids of one plane are supported: convert it"

# UDUNITS-2 names, which the format asks for.
_UNITS = {
    "micrometer": 1.0,
    "micrometre": 1.0,
    "millimeter": 1e3,
    "nanometer": 1e-3,
    "meter": 1e6,
}


def is_ome_zarr(folder: Path) -> bool:
    """Tell by its files whether a folder is a Zarr group."""
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup"))


class OmeZarrBackend:
    """One OME-Zarr image on this machine's disk.

    Parameters
    ----------
    path : Path
        The folder.

    Raises
    ------
    SlideError
        It is damaged, no image, or no 8-bit RGB of one plane.
    """

    name: BackendName = "ome-zarr"
    tiles: TiffTiles | None = None

    def __init__(self, path: Path) -> None:
        self._path = path
        self._apply: ToSrgb | None = None
        self.icc_profile: bytes | None = None
        try:
            self._open()
        except SlideError:
            raise
        except Exception as error:  # Zarr raises whatever the damage leads to
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise SlideError(
                f"{path.name} is no OME-Zarr that can be read ({reason}): copy the "
                "whole folder again from its source"
            ) from error
        self.vendor = "ome-zarr"
        self.objective: float | None = None
        self.associated: tuple[str, ...] = ()
        self.reading = "chunks decoded by Zarr"
        self._cache = TileCache(CACHE_BYTES)
        self._closed = False

    def _open(self) -> None:
        import zarr

        group = zarr.open_group(self._path, mode="r")
        facts = cast("dict[str, Any]", dict(group.attrs))
        facts = facts.get("ome", facts)
        images = facts.get("multiscales")
        if not images:
            raise SlideError(
                f"{self._path.name} is a Zarr group without an OME image: give the "
                "folder of one image"
            )
        axes = [axis["name"] for axis in images[0]["axes"]]
        units = [axis.get("unit") for axis in images[0]["axes"]]
        datasets = images[0]["datasets"]
        arrays = [cast("zarr.Array[Any]", group[d["path"]]) for d in datasets]
        self._check(axes, arrays)
        self._x, self._y = axes.index("x"), axes.index("y")
        self._c = axes.index("c")
        self._arrays = [arrays[0]]
        for array in arrays[1:]:
            last = self._arrays[-1]
            if all(array.shape[i] < last.shape[i] for i in (self._x, self._y)):
                self._arrays.append(array)
        width, height = arrays[0].shape[self._x], arrays[0].shape[self._y]
        self.levels = tuple(
            Level(
                array.shape[self._x],
                array.shape[self._y],
                (width / array.shape[self._x] + height / array.shape[self._y]) / 2,
            )
            for array in self._arrays
        )
        self.tile_sizes = tuple(
            (array.chunks[self._x], array.chunks[self._y]) for array in self._arrays
        )
        self.mpp = self._stated_mpp(datasets[0], units)

    def _check(self, axes: list[str], arrays: list[zarr.Array[Any]]) -> None:
        name = self._path.name
        if not {"x", "y"} <= set(axes):
            raise SlideError(f"{name} has axes {', '.join(axes)}; {_WAY_OUT}")
        for array in arrays:
            if len(array.shape) != len(axes):
                raise SlideError(f"{name} is damaged: its axes do not fit its arrays")
            if array.dtype != np.uint8:
                raise SlideError(f"{name} has {array.dtype} pixels; {_WAY_OUT}")
            for axis, size in zip(axes, array.shape, strict=True):
                if axis == "c" and size != 3:
                    raise SlideError(
                        f"{name} has {size} channels (fluorescence?); {_WAY_OUT}"
                    )
                if axis not in ("x", "y", "c") and size != 1:
                    raise SlideError(f"{name} has {size} planes of {axis}; {_WAY_OUT}")
        if "c" not in axes:
            raise SlideError(f"{name} has 1 channel; {_WAY_OUT}")

    def _stated_mpp(
        self, dataset: dict[str, Any], units: list[str | None]
    ) -> tuple[float, float] | None:
        scale = next(
            (
                change["scale"]
                for change in dataset.get("coordinateTransformations", ())
                if change.get("type") == "scale"
            ),
            None,
        )
        if scale is None:
            return None
        sides = []
        for axis in (self._x, self._y):
            unit = str(units[axis] or "")
            factor = _UNITS.get(unit, MICROMETRES.get(unit))
            if factor is None or not math.isfinite(scale[axis]) or scale[axis] <= 0:
                return None
            sides.append(float(scale[axis]) * factor)
        return sides[0], sides[1]

    def use_profile(self, apply: ToSrgb) -> None:
        """Give all colours by a transform from now on."""
        self._apply = apply

    def read(
        self, level: int, x: int, y: int, width: int, height: int
    ) -> NDArray[np.uint8]:
        """Read from level-0 ``(x, y)``, from the pixel nearest to it; white outside."""
        if self._closed:
            raise SlideError(f"{self._path.name} is closed: open it again")
        own = self.levels[level]
        column = math.floor(position(x, own.downsample) + 0.5)
        row = math.floor(position(y, own.downsample) + 0.5)
        result = np.full((height, width, 3), 255, np.uint8)
        left, right = max(column, 0), min(column + width, own.width)
        upper, lower = max(row, 0), min(row + height, own.height)
        if left >= right or upper >= lower:
            return result
        across, down = self.tile_sizes[level]
        for j in range(upper // down, (lower - 1) // down + 1):
            for i in range(left // across, (right - 1) // across + 1):
                tile = self._chunk(level, i, j)
                x0, y0 = i * across, j * down
                a, b = max(left, x0), min(right, x0 + tile.shape[1])
                c, d = max(upper, y0), min(lower, y0 + tile.shape[0])
                result[c - row : d - row, a - column : b - column] = tile[
                    c - y0 : d - y0, a - x0 : b - x0
                ]
        return result

    def _chunk(self, level: int, i: int, j: int) -> NDArray[np.uint8]:
        """Decode a chunk to RGB, or find it in the cache."""
        key = (level, i, j)
        tile = self._cache.get(key)
        if tile is not None:
            return tile
        across, down = self.tile_sizes[level]
        array = self._arrays[level]
        where: list[Any] = [0] * len(array.shape)
        where[self._x] = slice(i * across, (i + 1) * across)
        where[self._y] = slice(j * down, (j + 1) * down)
        where[self._c] = slice(None)
        try:
            pixels = np.asarray(array[tuple(where)])
        except Exception as error:  # codecs raise whatever the damage leads to
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            downsample = self.levels[level].downsample
            raise SlideError(
                f"{self._path.name} is damaged at x={round(i * across * downsample)}, "
                f"y={round(j * down * downsample)} (level {level}, {across}x{down} "
                f"px): {reason}; copy it again from its source"
            ) from error
        kept = sorted((self._x, self._y, self._c))
        order = [kept.index(axis) for axis in (self._y, self._x, self._c)]
        tile = np.ascontiguousarray(pixels.transpose(order))
        if self._apply is not None:
            tile = self._apply(tile)
        self._cache.put(key, tile)
        return tile

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Raise `KeyError`: this backend reads the levels only."""
        raise KeyError(name)

    def close(self) -> None:
        """Let the folder go."""
        self._closed = True
