from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_pathfm import slides
from napari_pathfm.errors import MissingMppError, SlideError

if TYPE_CHECKING:
    from pathlib import Path


def check(grid: slides.TileGrid, slide: slides.Slide) -> None:
    """What holds of every grid."""
    assert grid.coords.dtype == np.int32
    assert grid.cells.dtype == np.int32
    assert grid.coords.shape == grid.cells.shape == (len(grid), 2)
    rows, columns = grid.shape
    assert (grid.cells >= 0).all()
    assert (grid.cells < (rows, columns)).all()
    np.testing.assert_array_equal(
        grid.coords, grid.cells[:, ::-1] * grid.stride + grid.origin
    )
    order = grid.cells[:, 0].astype(int) * columns + grid.cells[:, 1]
    assert (np.diff(order) > 0).all()  # row by row, none twice
    sampling = slide.sampling(grid.mpp)
    assert grid.tile_size == pytest.approx(grid.px * sampling.downsample)
    centres = grid.coords + grid.tile_size / 2
    width, height = slide.dimensions
    if rows * columns > 1:
        assert (centres < (width, height)).all()


def test_every_tile(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:  # 1500 x 1100 at 0.5
        grid = slides.tile_grid(slide, tissue=False)
        check(grid, slide)
    # Columns begin at 0, 224, ... 1344, whose centre is 1456; 1568 would be outside.
    assert grid.shape == (5, 7)
    assert len(grid) == 35
    assert grid.mask == {}
    assert (grid.px, grid.mpp, grid.tile_size, grid.stride) == (224, 0.5, 224.0, 224)
    assert grid.coords[8].tolist() == [224, 224]


def test_tissue_tiles(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        mask = slides.tissue_mask(slide)
        grid = slides.tile_grid(slide, px=112)
        everything = slides.tile_grid(slide, px=112, tissue=False)
        check(grid, slide)
    assert 0 < len(grid) < len(everything)
    kept = {tuple(cell) for cell in grid.cells.tolist()}
    for cell, (x, y) in zip(
        everything.cells.tolist(), everything.coords.tolist(), strict=True
    ):
        width, height = min(112, 1500 - x), min(112, 1100 - y)
        share = mask.covered(x, y, 112) * 112**2 / (width * height)
        if abs(share - 0.25) > 1e-6:
            assert (tuple(cell) in kept) == (share > 0.25)
    assert grid.mask["min_tissue"] == 0.25
    assert grid.mask["threshold"] == mask.parameters["threshold"]


def test_real_slides_leave_glass_out(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        grid = slides.tile_grid(slide)
        check(grid, slide)
    assert grid.tile_size == 224.0  # 0.499 is read as 0.5
    assert grid.shape == (13, 10)
    assert 50 <= len(grid) <= 65
    assert grid.index_at(1230, 2100) is not None  # epidermis
    assert grid.index_at(250, 2200) is None  # glass


def test_mask_found_before(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        width, height = slide.dimensions
        half = np.zeros((height // 10, width // 10), bool)
        half[:, :75] = True
        mask = slides.TissueMask(half, 10.0, 0.5, {"method": "mine"})
        grid = slides.tile_grid(slide, px=100, tissue=mask, min_tissue=0.5)
    assert grid.mask == {"method": "mine", "min_tissue": 0.5}
    assert grid.coords[:, 0].max() == 700


def test_stride_is_in_pixels_of_the_mpp(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        grid = slides.tile_grid(slide, px=100, mpp=1.0, stride=50, tissue=False)
        check(grid, slide)
        assert (grid.stride, grid.tile_size) == (100, 200.0)
        odd = slides.tile_grid(slide, px=100, mpp=0.7, tissue=False)
        check(odd, slide)
        assert (odd.stride, odd.tile_size) == (140, pytest.approx(140.0))
        least = slides.tile_grid(slide, px=500, mpp=1.0, stride=0.01, tissue=False)
        assert least.stride == 1


def test_slide_smaller_than_a_tile(write_pyramid: Any) -> None:
    tissue = np.full((60, 90, 3), (210, 120, 170), np.uint8)
    glass = np.full((60, 90, 3), 243, np.uint8)
    with slides.open_slide(write_pyramid("small.tif", tissue, mpp=0.5)) as slide:
        grid = slides.tile_grid(slide)
        assert grid.coords.tolist() == [[0, 0]]
        assert grid.shape == (1, 1)
        ((indices, pixels),) = slide.tiles(grid)
        assert indices.tolist() == [0]
        assert (pixels[0, 60:] == 255).all()
    with slides.open_slide(write_pyramid("glass.tif", glass, mpp=0.5)) as slide:
        grid = slides.tile_grid(slide)
        assert len(grid) == 0
        assert grid.coords.shape == (0, 2)
        assert list(slide.tiles(grid)) == []


def test_index_at(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        grid = slides.tile_grid(slide, px=100, tissue=False)
        for index in (0, 17, len(grid) - 1):
            x, y = grid.coords[index].tolist()
            assert grid.index_at(x + 50, y + 50) == index
            assert grid.index_at(x + 1, y + 99) == index
        assert grid.index_at(-1, 50) is None
        assert grid.index_at(5000, 50) is None
        overlapping = slides.tile_grid(slide, px=100, stride=25, tissue=False)
        x, y = overlapping.coords[300].tolist()
        assert overlapping.index_at(x + 52, y + 45) == 300
        apart = slides.tile_grid(slide, px=10, stride=100, tissue=False)
        assert apart.index_at(105, 105) is not None
        assert apart.index_at(150, 150) is None


def test_attrs_round_trip(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        grid = slides.tile_grid(slide, px=96, mpp=0.7, stride=50)
    attrs = json.loads(json.dumps(grid.to_attrs()))
    again = slides.TileGrid.from_attrs(attrs, grid.cells)
    np.testing.assert_array_equal(again.coords, grid.coords)
    np.testing.assert_array_equal(again.cells, grid.cells)
    assert again.to_attrs() == grid.to_attrs()
    assert again.coords.dtype == again.cells.dtype == np.int32


def test_needs_mpp(tcga_slide_path: Path) -> None:
    with (
        slides.open_slide(tcga_slide_path) as slide,
        pytest.raises(MissingMppError, match="--mpp"),
    ):
        slides.tile_grid(slide)
    with slides.open_slide(tcga_slide_path, mpp=0.5) as slide:
        grid = slides.tile_grid(slide)
        check(grid, slide)
        assert 200 <= len(grid) <= 235


@pytest.mark.parametrize(
    "options",
    [
        {"px": 0},
        {"px": -3},
        {"px": 1.5},
        {"mpp": 0},
        {"mpp": float("nan")},
        {"stride": 0},
        {"stride": -1},
        {"stride": float("inf")},
    ],
)
def test_absurd_options(drawn_path: Path, options: dict[str, Any]) -> None:
    with slides.open_slide(drawn_path) as slide, pytest.raises(SlideError):
        slides.tile_grid(slide, **options)


def test_too_many_tiles(drawn_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_pathfm.slides import _grid

    monkeypatch.setattr(_grid, "_MAX_CELLS", 1000)
    with (
        slides.open_slide(drawn_path) as slide,
        pytest.raises(SlideError, match=r"drawn\.tif.*larger"),
    ):
        slides.tile_grid(slide, stride=1)


@pytest.mark.parametrize("stride", [100, 40, 130])
def test_index_at_is_the_nearest_centre_that_holds_the_point(
    drawn_path: Path, stride: int
) -> None:
    """Against a look at all tiles: side by side, overlapping, apart, with gaps."""
    with slides.open_slide(drawn_path) as slide:
        whole = slides.tile_grid(slide, px=100, mpp=0.5, stride=stride, tissue=False)
    rng = np.random.default_rng(stride)
    kept = rng.random(len(whole)) < 0.6
    grid = replace(whole, coords=whole.coords[kept], cells=whole.cells[kept])
    half = grid.tile_size / 2
    for x, y in rng.uniform(-50, 2100, (300, 2)):
        away = np.abs(grid.coords + half - (x, y))
        holds = (away <= half).all(axis=1)
        distance = np.where(holds, np.hypot(*away.T), np.inf)
        wanted = int(distance.argmin()) if holds.any() else None
        assert grid.index_at(x, y) == wanted
