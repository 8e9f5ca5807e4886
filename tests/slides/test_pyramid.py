"""The lazy arrays that napari shows."""

from __future__ import annotations

import gc
import pickle
import weakref
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import dask
import numpy as np
import pytest

from napari_pathfm import slides
from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _pyramid, _regions

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import BackendName


def shapes(slide: slides.Slide) -> list[tuple[int, ...]]:
    return [level.shape for level in slide.pyramid()]


def check(slide: slides.Slide) -> None:
    """What holds of every pyramid."""
    levels = slide.pyramid()
    width, height = slide.dimensions
    assert levels[0].shape == (height, width, 3)
    for level in levels:
        assert level.dtype == np.uint8
        assert level.ndim == 3
        assert level.chunks[2] == (3,)
    for finer, coarser in pairwise(levels):
        assert coarser.shape[0] < finer.shape[0]
        assert coarser.shape[1] < finer.shape[1]
        assert finer.shape[0] / coarser.shape[0] < 3  # no steps of four
    assert max(levels[-1].shape) <= 1024


def test_cmu(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        check(slide)
        assert shapes(slide) == [(2967, 2220, 3), (1484, 1110, 3), (742, 555, 3)]
        # whole slide tiles of 240 px, grouped to at most 1024
        assert slide.pyramid()[0].chunks[:2] == ((960, 960, 960, 87), (960, 960, 300))


def test_tcga(tcga_slide_path: Path) -> None:
    with slides.open_slide(tcga_slide_path) as slide:
        check(slide)
        assert shapes(slide)[1] == (1783, 2221, 3)  # the file's own


def test_steps_of_four_are_filled_in(landmark: Any) -> None:
    with slides.open_slide(landmark.path) as slide:
        check(slide)
        plan = _pyramid.plan_levels(slide)
        assert [(level.width, level.stored) for level in plan] == [
            (2500, True),
            (1250, False),
            (625, True),
        ]


@pytest.mark.parametrize(
    ("size", "factors", "widths"),
    [
        ((300, 200), (1,), [300]),
        ((1025, 30), (1,), [1025, 512]),
        ((5000, 400), (1, 16), [5000, 2500, 1250, 625]),
        ((5000, 400), (1, 2, 4, 8, 16), [5000, 2500, 1250, 625]),
        ((5000, 400), (1, 4, 32), [5000, 2500, 1250, 625]),
    ],
)
def test_plans(
    write_pyramid: Any,
    size: tuple[int, int],
    factors: tuple[int, ...],
    widths: list[int],
) -> None:
    pixels = np.full((size[1], size[0], 3), 200, np.uint8)
    with slides.open_slide(write_pyramid("plan.tif", pixels, factors)) as slide:
        check(slide)
        assert [level.width for level in _pyramid.plan_levels(slide)] == widths


@pytest.mark.parametrize("fixture", ["cmu_slide_path", "tcga_slide_path", "drawn_path"])
def test_level0_is_the_slide(fixture: str, request: pytest.FixtureRequest) -> None:
    """Across the borders of chunks, and to the last pixel."""
    with slides.open_slide(request.getfixturevalue(fixture)) as slide:
        level = slide.pyramid()[0]
        width, height = slide.dimensions
        for x, y in ((900, 900), (width - 130, height - 90), (0, 0)):
            expected = slide.read(x, y, 130, 90)
            part = np.asarray(level[y : y + 90, x : x + 130])
            np.testing.assert_array_equal(part, expected)


def test_landmark_lies_right_on_every_level(landmark: Any) -> None:
    """As napari places a level: by the ratio of its shape to that of level 0."""
    with slides.open_slide(landmark.path) as slide:
        levels = slide.pyramid()
        assert len(levels) == 3
        for level in levels:
            pixels = np.asarray(level)
            assert pixels.shape == level.shape
            scale_x = levels[0].shape[1] / level.shape[1]
            scale_y = levels[0].shape[0] / level.shape[0]
            x, y = landmark.centroid(pixels)
            # Within a tenth of the level's pixel: stored levels are cut to whole ones.
            slack = 0.1 * scale_x
            expected = landmark.centre
            assert (x * scale_x, y * scale_y) == pytest.approx(expected, abs=slack)


def test_filled_in_levels_are_area_means(landmark: Any) -> None:
    with slides.open_slide(landmark.path) as slide:
        pixels = np.asarray(slide.pyramid()[1])
    full = np.full((landmark.height, landmark.width), 200.0)
    side = landmark.side
    full[landmark.y : landmark.y + side, landmark.x : landmark.x + side] = 40
    means = full.reshape(950, 2, 1250, 2).mean(axis=(1, 3))
    assert np.abs(pixels[..., 0] - means).max() <= 1


def test_chunks_join_without_a_seam(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        # 1100 x 1500, of which level 1 is stored; ask for a mean of it instead
        level = _pyramid.PyramidLevel(1499, 1099, 0, stored=False)
        block = _pyramid._Block(slide, level, 512, 512)
        rows = [
            np.concatenate([block((i, j, 0)) for j in range(3)], axis=1)
            for i in range(3)
        ]
        joined = np.concatenate(rows)
        whole = _regions.read_whole(slide.reader, (1499, 1099), name="drawn")
    assert joined.shape == whole.shape
    assert np.abs(joined.astype(int) - whole).max() <= 1


def test_coarsest_level_is_in_memory(
    cmu_slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        levels = slide.pyramid()

        def fail(*where: Any) -> None:
            raise AssertionError("read from the file")

        monkeypatch.setattr(slide.reader, "read", fail)
        assert np.asarray(levels[-1]).shape == (742, 555, 3)
        assert slide.pyramid()[-1].shape == (742, 555, 3)
        with pytest.raises(AssertionError):
            np.asarray(levels[0][:10, :10])


def test_names_are_the_same_when_reopened(drawn_path: Path, landmark: Any) -> None:
    def names(path: Path) -> list[str]:
        with slides.open_slide(path) as slide:
            return [level.name for level in slide.pyramid()]

    assert names(drawn_path) == names(drawn_path)
    assert len(set(names(drawn_path))) == len(names(drawn_path))
    assert not set(names(drawn_path)) & set(names(landmark.path))


def test_tasks_survive_pickling(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        level = slide.pyramid()[0]
        again = pickle.loads(pickle.dumps(level))
        part = (slice(1000, 1100), slice(1000, 1100))
        with dask.config.set(scheduler="synchronous"):
            np.testing.assert_array_equal(again[part].compute(), level[part].compute())


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_an_abandoned_slide_is_let_go(drawn_path: Path, backend: BackendName) -> None:
    """Nothing that the slide keeps refers back to it: its file closes, silently."""
    slide = slides.open_slide(drawn_path, backend=backend)
    slide.pyramid()
    gone = weakref.ref(slide)
    gc.collect()
    gc.disable()
    try:
        del slide
        assert gone() is None
    finally:
        gc.enable()


def test_slide_without_coarse_levels_is_refused(
    cmu_slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_regions, "MAX_OVERVIEW_PIXELS", 1_000_000)
    with slides.open_slide(cmu_slide_path) as slide:
        for ask in (slide.pyramid, slide.thumbnail, lambda: slides.tissue_mask(slide)):
            with pytest.raises(SlideError, match=r"CMU-1.*pyramid.*tiffsave"):
                ask()
        assert slide.read(0, 0, 50, 50).shape == (50, 50, 3)
