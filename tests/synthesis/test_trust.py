"""What is like a synthetic tile on its slide, and whether it is a copy of one."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import PathfmError, StoreError
from napari_pathfm.evaluation import orientations
from napari_pathfm.exports import export_png
from napari_pathfm.generators import SyntheticImage, load_generator
from napari_pathfm.synthesis import trust, vary
from napari_pathfm.synthesis._trust import _among

POINT = (700, 700)


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("t") / "drawn.zarr")


@pytest.fixture(scope="module")
def generator():
    return load_generator(device="cpu")


@pytest.fixture(scope="module")
def image(slide, encoder, generator):
    made = vary(slide, [POINT], generator, encoder, n=1, sampler="euler", steps=3)
    return made.images[0]


def test_a_generated_tile_is_no_copy(slide, encoder, generator, store, image):
    found = trust(image, slide, store, encoder, generator.spec, second=encoder)
    assert not found.copied
    assert 0 < found.pixels < found.pixels_limit < 1
    assert found.condition == image.provenance.fidelity["cosine_to_condition"]
    cosines = [one.cosine for one in found.nearest]
    assert len(cosines) == 6
    assert cosines == sorted(cosines, reverse=True)
    # The same encoder twice: what it says of the place is what it said.
    assert found.second == "bundled"
    assert found.second_cosine == pytest.approx(found.condition, abs=1e-3)
    assert found.second_neighbours == sorted(found.second_neighbours)


@pytest.mark.parametrize("view", [0, 5])
def test_a_tile_of_the_slide_is_a_copy_however_turned(
    slide, encoder, generator, store, image, view
):
    x, y = store.coords[len(store.coords) // 2].tolist()
    real = orientations(slide.read(x, y, 224, 224, mpp=0.5))[view]
    copy = SyntheticImage(np.ascontiguousarray(real), image.provenance)
    found = trust(copy, slide, store, encoder, generator.spec)
    assert found.copied
    assert found.pixels > 0.98
    best = found.nearest[0]
    assert (best.x, best.y) == (x + 112, y + 112)
    assert best.cosine == pytest.approx(1, abs=2e-3)
    assert found.second is found.second_cosine is None


def test_a_crop_of_the_place_itself_is_a_copy(slide, encoder, generator, store, image):
    from napari_pathfm.evaluation._tiles import fit

    x, y, *_ = image.provenance.box
    real = slide.read(x, y, 224, 224, mpp=0.5)[20:214, 10:204]
    copy = SyntheticImage(fit(np.ascontiguousarray(real), 224), image.provenance)
    assert trust(copy, slide, store, encoder, generator.spec).copied


def test_what_cannot_be_compared_is_one_line(slide, encoder, generator, store, image):
    def asked(**changes):
        other = image.with_provenance(**changes)
        return trust(other, slide, store, encoder, generator.spec)

    with pytest.raises(PathfmError, match=r"not made of drawn\.tif"):
        asked(slide_fingerprint="another")
    with pytest.raises(PathfmError, match="only single tiles"):
        asked(action="twin")
    spec = replace(generator.spec, encoder="h0-mini")
    with pytest.raises(PathfmError, match="conditioned on h0-mini"):
        trust(image, slide, store, encoder, spec)
    corners = np.array([[700, 700], [710, 700], [700, 720]], np.float64)
    tiles = [slide.read(x, y, 224, 224, mpp=0.5) for x, y in corners]
    assert not len(_among(tiles, corners, 224))
    assert len(_among(tiles, corners * 100, 224)) == 3
    attrs = store.attrs
    try:
        store.attrs = {**attrs, "weights_revision": "other"}
        with pytest.raises(StoreError, match="other weights"):
            trust(image, slide, store, encoder, generator.spec)
    finally:
        store.attrs = attrs


def test_from_the_shell(slide, store, image, tmp_path, capsys):
    export_png(image, tmp_path / "made.png")
    ask = ["fidelity", str(tmp_path / "made.png"), str(slide.path), str(store.path)]
    assert main([*ask, "--device", "cpu", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["copied"] is False
    assert len(told["nearest"]) == 6
    assert main([*ask, "--device", "cpu", "--second", "bundled"]) == 0
    said = capsys.readouterr().out
    assert "proves little" in said
    assert "real tile by bundled" in said
    assert "no copy" in said
