"""``compare`` from a shell: three pictures that say which is synthetic."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.errors import PathfmError
from napari_pathfm.exports import export_png, read_provenance
from napari_pathfm.generators import load_generator
from napari_pathfm.synthesis import difference, real_part, vary


@pytest.fixture(scope="module")
def image(slide, encoder):
    generator = load_generator(device="cpu")
    made = vary(slide, [(700, 650)], generator, encoder, n=1, sampler="euler", steps=2)
    return made.images[0]


def test_three_pictures_side_by_side(slide, image, tmp_path, capsys):
    export_png(image, tmp_path / "made.png")
    out = tmp_path / "compared.png"
    ask = ["compare", str(tmp_path / "made.png"), str(slide.path), "--out", str(out)]
    assert main([*ask, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    real = slide.read(700 - 112, 650 - 112, 224, 224, mpp=0.5)
    np.testing.assert_array_equal(real_part(slide, image), real)
    apart = np.abs(real.astype(int) - image.pixels).mean(2)
    assert told["mean_difference"] == pytest.approx(apart.mean(), abs=1e-3)
    sheet = np.asarray(Image.open(out))
    np.testing.assert_array_equal(sheet[8:232, 8:232], real)
    np.testing.assert_array_equal(sheet[8:232, 240:464], image.pixels)
    grey = sheet[8:232, 472:696, 0].astype(float)
    np.testing.assert_allclose(grey, apart * 255 / apart.max(), atol=0.51)
    assert {p.generator for p in read_provenance(out)} == {"bundled"}
    assert main(ask) == 0
    assert "of the pixels are the slide's own" in capsys.readouterr().out


def test_the_same_is_no_difference_and_black_against_white_all_of_it():
    black, white = (np.full((2, 3, 3), v, np.uint8) for v in (0, 255))
    assert (difference(black, np.stack([black, white])) == [[[0]], [[255]]]).all()


def test_another_slide_is_refused(slide, image):
    with pytest.raises(PathfmError, match=r"not made of drawn\.tif"):
        real_part(slide, image.with_provenance(slide_fingerprint="other"))
