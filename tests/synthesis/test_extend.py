"""A field carried on beyond its border: kept bit for bit, the same every time."""

from __future__ import annotations

import json

import numpy as np
import pytest
from plain_generator import PlainGenerator

from napari_pathfm.cli import main
from napari_pathfm.errors import OutsideSlideError, PathfmError
from napari_pathfm.exports import read_provenance
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import extend, verify

FAST = {"sampler": "euler", "steps": 2}
BOX = (603, 507, 260, 250)


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def made(slide, encoder, generator):
    return extend(
        slide, BOX, generator, encoder, by=40, sides=["right", "top"], seed=2, **FAST
    )


def test_the_field_is_kept_and_the_rest_is_made(slide, made):
    # Whole cells of 8 px inside the box, and ten of 4 um more on two sides.
    assert made.box == (608, 512 - 80, 248 + 80, 240 + 80)
    image = made.images[0]
    assert image.pixels.shape == (320, 328, 3)
    field = slide.read(608, 512, 248, 240, mpp=0.5)
    np.testing.assert_array_equal(image.pixels[80:, :248], field)
    assert not made.mask[80:, :248].any()
    assert made.mask.sum() == 320 * 328 - 248 * 240
    real = slide.read(608, 432, 328, 320, mpp=0.5)
    np.testing.assert_array_equal(made.source, real)
    assert (image.pixels[made.mask] != real[made.mask]).any(1).mean() > 0.9


def test_what_lies_beyond_has_no_say(slide, encoder, generator, made, tmp_path):
    # The same field on a slide that is painted over around it.
    from napari_pathfm.slides import open_slide

    class Painted:
        def __init__(self, real):
            self._real = real

        def __getattr__(self, name):
            return getattr(self._real, name)

        def read(self, x, y, width, height, **options):
            pixels = self._real.read(x, y, width, height, **options).copy()
            if (width, height) == (328, 320):
                pixels[made.mask] = 0
            return pixels

    with open_slide(slide.path) as opened:
        again = extend(
            Painted(opened),
            BOX,
            generator,
            encoder,
            by=40,
            sides=["right", "top"],
            seed=2,
            **FAST,
        )
    np.testing.assert_array_equal(
        again.images[0].pixels[~made.mask], made.images[0].pixels[~made.mask]
    )
    apart = np.abs(again.images[0].pixels.astype(int) - made.images[0].pixels)
    assert apart.max() == 0


def test_it_can_be_made_again(slide, encoder, generator, made):
    image = made.images[0]
    told = type(image.provenance).from_json(image.provenance.to_json())
    assert told.action == "extend"
    assert told.details["sides"] == ["top", "right"]
    assert told.details["by_um"] == pytest.approx(40)
    assert set(told.fidelity) == {"cosine_to_condition", "seam"}
    found = verify(image.pixels, told, generator, slide=slide, encoder=encoder)
    assert found.identical
    assert found.same_condition


def test_it_goes_beyond_the_slides_own_edge(slide, encoder):
    made = extend(
        slide, (608, 0, 256, 256), PlainGenerator(), encoder, sides=["top"], **FAST
    )
    assert made.box == (608, -224, 256, 480)
    assert (made.source[:224] == 255).all()
    assert (made.images[0].pixels[:100] != 255).any()


@pytest.mark.parametrize(
    ("box", "more", "says"),
    [
        ((600, 500, 100, 300), {}, "holds no tile"),
        ((0, 0, 230, 230), {}, "no tissue"),
        (BOX, {"by": 0.1}, "the least is 4 um"),
        (BOX, {"by": float("nan")}, "makes no sense"),
        (BOX, {"sides": ["up"]}, "no side 'up'"),
        (BOX, {"sides": []}, "no side was given"),
        (BOX, {"sampler": "sde"}, "sde"),
    ],
)
def test_bad_asks_are_one_line(slide, encoder, box, more, says):
    with pytest.raises(PathfmError, match=says):
        extend(slide, box, PlainGenerator(), encoder, **{**FAST, **more})
    with pytest.raises(OutsideSlideError):
        extend(slide, (1900, 1400, 400, 400), PlainGenerator(), encoder, **FAST)


def test_from_the_shell(slide, tmp_path, capsys):
    out = tmp_path / "more.ome.tif"
    ask = ["extend", str(slide.path), "--box", "600,504,240,232", "--by", "20"]
    more = ["--sampler", "euler", "--steps", "1", "--out", str(out), "--json"]
    assert main([*ask, "--sides", "left", *more]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (280, 232)
    assert report["synthetic_px"] == 40 * 232
    assert read_provenance(out).action == "extend"
    verify_it = ["provenance", str(out), "--verify", "--slide", str(slide.path)]
    assert main(verify_it) == 0
    assert "byte for byte" in capsys.readouterr().out
