"""Tiles to learn from: balance, what is held out, views, and who reads them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.errors import PathfmError
from napari_pathfm.slides import draw_slide
from napari_pathfm.training._data import Data, open_tiles
from napari_pathfm.training._turn import Turn
from napari_pathfm.training._views import (
    Views,
    crop,
    masks,
    scanned,
    stained,
    toned,
    views,
)


def picture(path, grey, px=32):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((px, px, 3), grey, np.uint8)).save(path)


def greys(side, n=300):
    return side.draw(Turn(0, 0, n))[:, 0, 0, 0]


@pytest.fixture
def folder(tmp_path):
    """Site a has one slide, site b three, one of them with many tiles."""
    picture(tmp_path / "a" / "s1" / "1.png", 10)
    for i in range(9):
        picture(tmp_path / "b" / "s2" / f"{i}.png", 20)
    picture(tmp_path / "b" / "s3" / "1.png", 30)
    picture(tmp_path / "b" / "Case-48" / "1.png", 40)
    return tmp_path


def test_sites_then_slides_are_drawn_alike(folder):
    data = Data(tiles=("a", "b"), held_out=("Case-48/*",), tile_px=32)
    tiles = open_tiles(data, folder)
    drawn = greys(tiles.learn)
    assert (drawn == 10).mean() == pytest.approx(1 / 2, abs=0.08)
    assert (drawn == 20).mean() == pytest.approx(1 / 4, abs=0.08)
    assert set(drawn) == {10, 20, 30}
    assert set(greys(tiles.held_out, 20)) == {40}
    assert tiles.facts["sites"] == ["a", "b"]
    assert tiles.facts["held_out"] == ["b/Case-48"]
    by_slide = Data(tiles=("a", "b"), balance="slides", tile_px=32)
    drawn = greys(open_tiles(by_slide, folder).learn)
    assert (drawn == 10).mean() == pytest.approx(1 / 4, abs=0.08)


def test_sites_come_from_a_table(folder):
    (folder / "sites.csv").write_text("name,site\ns3/*,x\n*,y\n")
    data = Data(tiles=("a", "b"), sites="sites.csv", tile_px=32)
    drawn = greys(open_tiles(data, folder).learn)
    assert (drawn == 30).mean() == pytest.approx(1 / 2, abs=0.08)
    (folder / "sites.csv").write_text("name,place\ns3/*,x\n")
    with pytest.raises(PathfmError, match=r"sites\.csv has no column 'site'"):
        open_tiles(data, folder)
    (folder / "sites.csv").write_text("name,site\ns3/*,x\n")
    with pytest.raises(PathfmError, match=r"has no site for s1/1"):
        open_tiles(data, folder)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"tiles": ("c",)}, r"c holds no PNG or JPEG"),
        ({"slides": ("*.svs",)}, r"\*\.svs matches no file"),
        ({"held_out": ("zzz*",)}, r"'zzz\*' matches no slide .* like 's1/1'"),
        ({"held_out": ("*",)}, "leaves nothing to learn from"),
        ({"held_out": ("s2/1",)}, "holds out a part of 'b/s2' only"),
        ({"site_by": "tcga"}, "1 has no TCGA barcode"),
    ],
)
def test_what_is_not_there_is_one_line(folder, more, message):
    with pytest.raises(PathfmError, match=message):
        open_tiles(Data(**({"tiles": ("a", "b")} | more)), folder)


def test_slides_give_tissue_at_the_scale_asked_for(tmp_path):
    draw_slide(tmp_path / "TCGA-CR-0001.tif", width=1024, height=1024, seed=1)
    draw_slide(tmp_path / "TCGA-XY-0002.tif", width=1024, height=1024, seed=2)
    data = Data(
        slides=("*.tif",), held_out=("TCGA-XY-*",), site_by="tcga", tile_px=64, mpp=1.0
    )
    tiles = open_tiles(data, tmp_path, workers=2)
    assert tiles.facts["sites"] == ["CR"]
    drawn = tiles.learn.draw(Turn(0, 0, 16))
    assert drawn.shape == (16, 64, 64, 3)
    assert np.mean([tile.min(-1).mean() < 225 for tile in drawn]) > 0.8
    assert not np.array_equal(drawn[0], drawn[1])
    held = tiles.held_out.draw(Turn(0, 0, 2))
    assert held.shape == (2, 64, 64, 3)


def test_threads_and_shares_change_nothing(folder):
    noise = np.random.default_rng(0).integers(0, 200, (90, 90, 3), np.uint8)
    Image.fromarray(noise).save(folder / "a" / "s1" / "2.png")
    data = Data(tiles=("a", "b"), tile_px=32)
    alone = open_tiles(data, folder).learn
    ahead = open_tiles(data, folder, workers=3).learn
    whole = [alone.draw(Turn(5, step, 8)) for step in range(3)]
    np.testing.assert_array_equal(
        whole, [ahead.draw(Turn(5, step, 8)) for step in range(3)]
    )
    shares = [
        alone.draw(Turn(5, 1, 8, part=part, parts=2, rank=rank, ranks=2))
        for rank in range(2)
        for part in range(2)
    ]
    np.testing.assert_array_equal(np.concatenate(shares), whole[1])


def test_the_jpeg_arm_is_lossy_and_the_other_is_not(folder):
    noise = np.random.default_rng(0).integers(0, 200, (32, 32, 3), np.uint8)
    Image.fromarray(noise).save(folder / "a" / "s1" / "1.png")
    plain = open_tiles(Data(tiles=("a",), tile_px=32), folder).learn
    np.testing.assert_array_equal(plain.draw(Turn(0, 0, 1))[0], noise)
    lossy = open_tiles(Data(tiles=("a",), tile_px=32, jpeg=50), folder).learn
    assert not np.array_equal(lossy.draw(Turn(0, 0, 1))[0], noise)


def test_views_are_crops_and_the_clean_ones_stay_clean():
    tile = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    whole = Views(
        global_px=64, local_px=32, locals=3, global_scale=(1.0, 1.0), stain=0.3
    )
    made = views(tile, np.random.default_rng(0), whole)
    assert made["local"].shape == (3, 32, 32, 3)
    for view in made["clean"]:
        # The whole tile, flipped or turned: the very pixels.
        assert sorted(view.reshape(-1)) == sorted(tile.reshape(-1))
    assert not np.array_equal(made["global"], made["clean"])
    none = Views(stain=0, blur=0, jpeg=0, resample=0)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(scanned(tile, rng, none), tile)
    turned = {crop(tile, rng, 64, (1.0, 1.0)).tobytes() for _ in range(80)}
    assert len(turned) == 8


def test_stains_move_densities_as_worked_out():
    """One stain made twice as dense squares its transmission."""

    class Twice:
        calls = 0

        def standard_normal(self, n, dtype):
            self.calls += 1
            return np.array([1, 0, 0] if self.calls == 1 else [0, 0, 0], np.float32)

    haematoxylin = np.array([0.650, 0.704, 0.286])
    haematoxylin /= np.linalg.norm(haematoxylin)
    pixel = np.rint(255 * 10 ** -(0.3 * haematoxylin)).astype(np.uint8)
    got = stained(np.tile(pixel, (2, 2, 1)), Twice(), 1.0)[0, 0]
    wanted = 255 * 10 ** -(0.6 * haematoxylin)
    np.testing.assert_allclose(got, wanted, atol=1.5)


def test_tone_multiplies_densities_and_dims_the_light():
    class Once:
        """Every normal number is one, every uniform one a half."""

        def standard_normal(self, shape=None):
            return 1.0 if shape is None else np.ones(shape)

        def random(self, shape):
            return np.full(shape, 0.5)

    pixel = np.array([[[200, 100, 255]]], np.uint8)
    got = toned(pixel, Once(), 0.4)[0, 0]
    factor, light = np.exp(0.4 * 1.75), 1 - 0.1 * 0.4 * 0.5
    wanted = 255 * light * (pixel[0, 0] / 255) ** factor
    np.testing.assert_allclose(got, wanted, atol=0.5)
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(toned(pixel, rng, 0.0), pixel)


def test_two_views_of_the_same_square_differ_by_what_scanners_do():
    tile = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    told = Views(global_px=48, locals=0, same=True, tone=0.3)
    made = views(tile, np.random.default_rng(0), told)
    np.testing.assert_array_equal(*made["clean"])
    assert (made["global"][0] != made["global"][1]).any()


def test_masks_hide_the_share_asked_for():
    rng = np.random.default_rng(0)
    drawn = np.stack([masks(rng, 16, 0.5, (0.1, 0.5)) for _ in range(200)])
    shares = drawn.mean(1)
    assert (shares > 0).mean() == pytest.approx(0.5, abs=0.1)
    assert shares.max() <= 0.6
    assert shares[shares > 0].min() >= 0.09
