"""``virtual`` from a shell: a pyramid that can be made again, and resumed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from plain_generator import PlainGenerator

from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import Cancelled
from napari_pathfm.exports import (
    parts_folder,
    read_pixels,
    read_provenance,
    write_virtual,
)
from napari_pathfm.synthesis import ChunkFiles, VirtualSlide


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("v") / "drawn.zarr")


@pytest.fixture
def told(slide, store, tmp_path, monkeypatch):
    made = []

    def load(*_names, **_options):
        made.append(PlainGenerator())
        return made[-1]

    monkeypatch.setattr("napari_pathfm.generators.load_generator", load)
    ask = ["virtual", str(slide.path), str(store.path), "--sampler", "euler"]
    return [*ask, "--steps", "2", "--out", str(tmp_path / "v.ome.tif")], made


def test_a_whole_slide_becomes_a_pyramid_that_can_be_made_again(
    told, slide, store, tmp_path, capsys
):
    ask, _ = told
    assert main([*ask, "--seed", "5", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (2048, 1536)
    assert report["chunks"] == 20 > report["glass"] > 0
    out = tmp_path / "v.ome.tif"
    assert [path.name for path in tmp_path.iterdir()] == ["v.ome.tif"]
    provenance = read_provenance(out)
    assert (provenance.action, provenance.seed) == ("virtual", 5)
    with tifffile.TiffFile(out) as tif:
        levels = tif.series[0].levels
        assert [level.shape for level in levels] == [
            (1536 >> n, 2048 >> n, 3) for n in range(4)
        ]
        assert levels[0].keyframe.compression == 8
        pixels = levels[0].asarray()
    virtual = VirtualSlide(
        slide, store, PlainGenerator(), seed=5, sampler="euler", steps=2
    )
    np.testing.assert_array_equal(pixels, virtual.read(0, 0, 2048, 1536))
    placed = read_pixels(out)
    assert (placed.origin, placed.stride, placed.pixel_um) == ((0, 0), 1, 0.5)
    verify = ["provenance", str(out), "--verify", "--slide", str(slide.path)]
    assert main([*verify, "--store", str(store.path)]) == 0
    assert "byte for byte" in capsys.readouterr().out
    assert main(verify) == 1
    assert "--store" in capsys.readouterr().err


def test_a_run_that_was_stopped_goes_on(told, slide, store, tmp_path):
    out = tmp_path / "v.ome.tif"
    whole = PlainGenerator()
    settings = {"sampler": "euler", "steps": 2}
    part = (400, 300, 700, 600)
    fresh = VirtualSlide(slide, store, whole, **settings)
    wanted = fresh.read(*part)
    generator = PlainGenerator()
    files = ChunkFiles(parts_folder(out))
    virtual = VirtualSlide(slide, store, generator, files=files, **settings)
    budget = iter([True] * (whole.passes // 2))
    with pytest.raises(Cancelled):
        write_virtual(out, virtual, part, on_step=lambda *_: next(budget, False))
    assert not out.exists()
    ask, made = told
    assert main([*ask, "--box", "400,300,700,600"]) == 0
    assert 0 < made[0].passes < whole.passes
    np.testing.assert_array_equal(tifffile.imread(out), wanted)
    assert not parts_folder(out).exists()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--box", "5000,0,300,300"], "leaves drawn.tif"),
        (["--out", "v.png"], ".ome.tif"),
        (["--out", "absent/v.ome.tif"], "no folder"),
        (["--sampler", "sde"], "sde"),
    ],
)
def test_bad_asks_are_one_line(told, more, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*told[0], *more]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())
