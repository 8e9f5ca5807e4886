"""The twin of a region: one area, of the place's tiles, the same every time."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import twin, verify
from napari_pathfm.synthesis._seam import border_step
from napari_pathfm.synthesis._twin import _spread

FAST = {"sampler": "euler", "steps": 2}
BOX = (603.0, 507.0, 330.0, 228.0)


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def made(slide, encoder, generator):
    return twin(slide, BOX, generator, encoder, seed=2, **FAST)


def test_it_covers_the_box_in_whole_cells(slide, made):
    x, y, width, height = made.box
    assert x <= BOX[0] < x + 8
    assert y <= BOX[1] < y + 8
    assert x + width >= BOX[0] + BOX[2] > x + width - 8
    assert y + height >= BOX[1] + BOX[3] > y + height - 8
    pixels = made.images[0].pixels
    assert pixels.shape == (height, width, 3) == (232, 336, 3)
    real = slide.read(x, y, int(width), int(height), mpp=0.5)
    np.testing.assert_array_equal(made.source, real)
    assert (pixels != real).mean() > 0.9
    rows, columns = made.borders
    assert rows == [8, 224]
    assert columns == [112, 224]


def test_the_same_every_time_and_made_again_from_what_it_says(
    slide, encoder, generator, made
):
    image = made.images[0]
    told = type(image.provenance).from_json(image.provenance.to_json())
    assert (told.action, told.box, told.mpp) == ("twin", made.box, 0.5)
    assert told.details["tiles"] == 4
    assert set(told.fidelity) == {"cosine_to_condition", "seam"}
    found = verify(image.pixels, told, generator, slide=slide, encoder=encoder)
    assert found.identical
    assert found.same_condition


def test_each_tile_is_told_its_own_place(slide, encoder, generator, made):
    from napari_pathfm.generators import condition_hash

    x, y, *_ = made.box
    tiles = [
        slide.read(x + across, y + down, 224, 224, mpp=0.5)
        for down in (0, 8)
        for across in (0, 112)
    ]
    conditions = encoder.encode(np.stack(tiles)).cls
    told = made.images[0].provenance.condition_sha256
    assert told == condition_hash(conditions)


def test_windows_overlap_as_asked_and_end_where_the_area_ends():
    for length in (28, 29, 60, 256):
        starts = _spread(length, 28, 0.25)
        assert starts[0] == 0
        assert starts[-1] == length - 28
        assert max(np.diff(starts), default=0) <= 22
    assert _spread(84, 28, 0) == [0, 28, 56]
    assert _spread(90, 28, 0) == [0, 28, 56, 62]


def test_borders_that_show_are_found():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 100, (120, 160, 3)).astype(np.uint8)
    assert border_step(noise, [40, 80], [80]) == pytest.approx(1, abs=0.05)
    noise[:, 80:] += 100
    assert border_step(noise, [], [80]) > 2
    assert border_step(noise, [], []) == 0
    # What repeats with the cells is no border.
    blocks = rng.integers(0, 200, (15, 20, 3)).astype(np.uint8)
    cells = blocks.repeat(8, 0).repeat(8, 1) + noise[:, :160] // 10
    assert border_step(cells, [40, 80], [80]) > 5
    assert border_step(cells, [40, 80], [80], 8) == pytest.approx(1, abs=0.3)


def test_the_area_as_a_layer_lies_on_its_place(slide, made):
    from napari_pathfm.slides import level0_to_world

    pixels, keywords, _ = made.to_layer()
    assert pixels.shape == (1, 232, 336, 3)
    corner = np.array(keywords["translate"][1:]) - np.array(keywords["scale"][1:]) / 2
    np.testing.assert_allclose(corner, level0_to_world(made.box[:2], slide.mpp))


@pytest.mark.parametrize(
    ("box", "more", "says"),
    [
        ((600, 500, 0, 300), {}, "is empty"),
        ((1900, 500, 300, 300), {}, "leaves drawn.tif"),
        ((0, 0, 99999, 99999), {}, "leaves drawn.tif"),
        ((600, 500, 100, 300), {}, "smaller than a tile of 224"),
        ((0, 0, 224, 224), {}, "no tissue"),
        (BOX, {"overlap": 0.9}, "use 0 to 0.75"),
        (BOX, {"sampler": "sde"}, "cannot be made with the sampler"),
    ],
)
def test_senseless_regions_are_refused_before_work(
    slide, encoder, generator, box, more, says
):
    calls = []
    with pytest.raises(PathfmError, match=says) as error:
        twin(slide, box, generator, encoder, on_step=lambda *a: calls.append(a), **more)
    assert "\n" not in str(error.value)
    assert not calls


def test_an_area_that_does_not_fit_into_memory_is_refused(
    slide, encoder, generator, monkeypatch
):
    import psutil

    class Little:
        available = 1000

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    with pytest.raises(PathfmError, match="GiB of memory"):
        twin(slide, BOX, generator, encoder, **FAST)
