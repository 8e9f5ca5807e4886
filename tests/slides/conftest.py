"""Slides that the tests draw or write themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pytest
import tifffile

from napari_pathfm import slides

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class Landmark(NamedTuple):
    """A dark square on grey, at a place that is no multiple of anything."""

    path: Path
    x: int = 1301
    y: int = 903
    side: int = 96
    width: int = 2500
    height: int = 1900
    mpp: float = 0.25

    @property
    def centre(self) -> tuple[float, float]:
        return self.x + self.side / 2, self.y + self.side / 2

    @staticmethod
    def centroid(region: NDArray[np.uint8]) -> tuple[float, float]:
        """Where it is in a region: ``(x, y)`` in its pixels, corner origin."""
        weight = 200.0 - region[..., 0].astype(np.float64)
        weight[weight < 4] = 0  # rounding of the resampling
        weight[weight > 160] = 160
        rows, columns = np.indices(weight.shape) + 0.5
        return (
            float((weight * columns).sum() / weight.sum()),
            float((weight * rows).sum() / weight.sum()),
        )


class WritePyramid(Protocol):
    def __call__(
        self,
        name: str,
        pixels: NDArray[np.uint8],
        factors: tuple[int, ...] = (1,),
        *,
        mpp: float | None = None,
        **options: Any,
    ) -> Path: ...


@pytest.fixture(scope="session")
def drawn_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slides") / "drawn.tif"
    return slides.draw_slide(path, width=1500, height=1100, mpp=0.5, seed=3, levels=2)


@pytest.fixture(scope="session")
def landmark(tmp_path_factory: pytest.TempPathFactory) -> Landmark:
    """A pyramid with a step of four, whose sides are no multiples of four."""
    mark = Landmark(tmp_path_factory.mktemp("slides") / "landmark.tif")
    pixels = np.full((mark.height, mark.width, 3), 200, np.uint8)
    pixels[mark.y : mark.y + mark.side, mark.x : mark.x + mark.side] = 40
    _write_pyramid(mark.path, pixels, (1, 4), mpp=mark.mpp)
    return mark


@pytest.fixture
def write_pyramid(tmp_path: Path) -> WritePyramid:
    """Write a tiled TIFF with reduced pages; more options go to tifffile."""

    def write(
        name: str,
        pixels: NDArray[np.uint8],
        factors: tuple[int, ...] = (1,),
        *,
        mpp: float | None = None,
        **options: Any,
    ) -> Path:
        return _write_pyramid(tmp_path / name, pixels, factors, mpp=mpp, **options)

    return write


def _shrink(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Average `factor` x `factor` pixels; what is left over at the border goes."""
    rows, columns = (side // factor for side in pixels.shape[:2])
    cut = pixels[: rows * factor, : columns * factor].astype(np.float64)
    blocks = cut.reshape(rows, factor, columns, factor, -1)
    return np.round(blocks.mean(axis=(1, 3))).astype(np.uint8)


def _write_pyramid(
    path: Path,
    pixels: NDArray[np.uint8],
    factors: tuple[int, ...] = (1,),
    *,
    mpp: float | None = None,
    **options: Any,
) -> Path:
    settings: dict[str, Any] = {
        "tile": (256, 256),
        "photometric": "rgb",
        "compression": "zlib",
        "metadata": None,
        **options,
    }
    with tifffile.TiffWriter(path) as tif:
        for factor in factors:
            resolution = None if mpp is None else (10_000 / (mpp * factor),) * 2
            tif.write(
                _shrink(pixels, factor),
                subfiletype=int(factor > 1),
                resolution=resolution,
                resolutionunit=None if mpp is None else "CENTIMETER",
                **settings,
            )
    return path
