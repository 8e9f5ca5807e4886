"""The stream of tiles: in order, ahead but not too far, and gone when closed."""

from __future__ import annotations

import shutil
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_pathfm import slides
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def slide(drawn_path: Path) -> Iterator[slides.Slide]:
    with slides.open_slide(drawn_path) as slide:
        yield slide


def threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("slide-tiles")]


@pytest.mark.parametrize("mpp", [0.5, 0.8, 1.0])
def test_tiles_are_what_read_gives(slide: slides.Slide, mpp: float) -> None:
    grid = slides.tile_grid(slide, px=96, mpp=mpp, tissue=False)
    seen = []
    for indices, pixels in slide.tiles(grid, batch=10):
        assert indices.dtype == np.int64
        assert pixels.dtype == np.uint8
        assert pixels.shape == (len(indices), 96, 96, 3)
        for index, tile in zip(indices, pixels, strict=True):
            x, y = grid.coords[index].tolist()
            np.testing.assert_array_equal(tile, slide.read(x, y, 96, 96, mpp=mpp))
        seen += indices.tolist()
    assert seen == list(range(len(grid)))
    assert not threads()


def test_batches(slide: slides.Slide) -> None:
    grid = slides.tile_grid(slide, tissue=False)
    assert [len(indices) for indices, _ in slide.tiles(grid, batch=16)] == [16, 16, 3]


def test_chosen_tiles_in_the_order_asked_for(slide: slides.Slide) -> None:
    grid = slides.tile_grid(slide, px=64, tissue=False)
    chosen = np.array([40, 3, 3, 17])
    batches = list(slide.tiles(grid, batch=3, indices=chosen))
    assert np.concatenate([indices for indices, _ in batches]).tolist() == [
        40,
        3,
        3,
        17,
    ]
    x, y = grid.coords[17].tolist()
    np.testing.assert_array_equal(batches[1][1][0], slide.read(x, y, 64, 64))
    assert list(slide.tiles(grid, indices=[])) == []


def test_reads_ahead_but_within_bounds(
    drawn_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slide = slides.open_slide(drawn_path, backend="openslide")
    grid = slides.tile_grid(slide, px=32, tissue=False)
    assert len(grid) > 200
    started: list[int] = []
    read = slide.reader.read

    def spy(*where: Any) -> Any:
        started.append(1)
        return read(*where)

    monkeypatch.setattr(slide.reader, "read", spy)
    stream = slide.tiles(grid, batch=8)
    assert not started  # nothing before the first is asked for
    for taken in range(1, 6):
        next(stream)
        deadline = time.monotonic() + 5
        while len(started) < (taken + 2) * 8 and time.monotonic() < deadline:
            time.sleep(0.005)
        time.sleep(0.02)
        # The batch just handed out, and two ahead of it.
        assert len(started) == (taken + 2) * 8
    stream.close()  # type: ignore[attr-defined]


def test_closing_ends_the_threads(slide: slides.Slide) -> None:
    grid = slides.tile_grid(slide, px=32, tissue=False)
    stream = slide.tiles(grid, batch=64)
    next(stream)
    assert threads()
    stream.close()  # type: ignore[attr-defined]
    assert not threads()


def test_leaving_the_loop_ends_the_threads(slide: slides.Slide) -> None:
    grid = slides.tile_grid(slide, px=32, tissue=False)
    for _ in slide.tiles(grid, batch=4):
        break
    assert not threads()


def test_tiles_before_a_damaged_one_come_first(
    drawn_path: Path, tmp_path: Path
) -> None:
    path = tmp_path / "hurt.tif"
    shutil.copy(drawn_path, path)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        offset, count = page.dataoffsets[9], page.databytecounts[9]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * count)
    with slides.open_slide(path) as slide:
        # The slide's own tiles, 6 across: number 9 is the tenth of the grid.
        grid = slides.tile_grid(slide, px=256, tissue=False)
        assert grid.shape[1] == 6
        seen: list[int] = []

        def take_all() -> None:
            for indices, _ in slide.tiles(grid, batch=4):
                seen.extend(indices.tolist())

        with pytest.raises(SlideError, match=r"hurt\.tif.*x=768, y=256"):
            take_all()
        assert seen == list(range(9))
        assert not threads()
        rest = [i for i, _ in slide.tiles(grid, indices=range(10, len(grid)))]
        assert np.concatenate(rest).tolist() == list(range(10, len(grid)))


def test_grid_of_another_slide(slide: slides.Slide, landmark: Any) -> None:
    grid = slides.tile_grid(slide, tissue=False)
    with (
        slides.open_slide(landmark.path) as other,
        pytest.raises(SlideError, match=r"landmark\.tif.*make it again"),
    ):
        other.tiles(grid)


@pytest.mark.parametrize("indices", [[-1], [10**6], [0, 35]])
def test_absent_tiles(slide: slides.Slide, indices: list[int]) -> None:
    grid = slides.tile_grid(slide, tissue=False)
    with pytest.raises(SlideError, match="tiles 0 to 34"):
        slide.tiles(grid, indices=indices)


def test_absurd_batch(slide: slides.Slide) -> None:
    grid = slides.tile_grid(slide, tissue=False)
    with pytest.raises(SlideError, match="batch"):
        slide.tiles(grid, batch=0)
