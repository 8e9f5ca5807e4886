"""Synthetic pixels are known as such, and their stores say so."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.embeddings import open_store
from napari_pathfm.exports import export_png, synthetic_pixels, write_pixels
from napari_pathfm.generators import SyntheticImage, load_generator
from napari_pathfm.slides import draw_slide, open_slide, synthetic_provenance


@pytest.fixture(scope="module")
def image(slide):
    made = load_generator(device="cpu").generate(None, steps=1, guidance=1.0)[0]
    told = made.with_provenance(box=(448, 448, 672, 672), mpp=0.5).provenance
    return SyntheticImage(slide.read(448, 448, 672, 672), told)


@pytest.mark.parametrize("name", ["v.ome.tif", "v.ome.zarr", "v.png"])
def test_every_format_says_it(image, tmp_path, name):
    path = tmp_path / name
    if name.endswith("png"):
        export_png(image, path)
    else:
        write_pixels(path, synthetic_pixels(image))
    found = synthetic_provenance(path)
    assert found["generator"] == "bundled"
    assert found["synthetic"] is True


def test_real_tissue_and_strangers_say_nothing(slide, tmp_path):
    assert slide.synthetic is None
    Image.fromarray(np.zeros((9, 9, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "b.tif").write_bytes(b"II*\0 no more")
    (tmp_path / "c.txt").write_text("text")
    (tmp_path / "d.ome.zarr").mkdir()
    (tmp_path / "d.ome.zarr" / "zarr.json").write_text('{"attributes": 3}')
    for path in tmp_path.iterdir():
        assert synthetic_provenance(path) is None
    assert synthetic_provenance(tmp_path / "absent.tif") is None


def test_a_store_of_synthetic_tissue_says_so(image, slide, tmp_path, capsys):
    path = tmp_path / "v.ome.tif"
    write_pixels(path, synthetic_pixels(image))
    ask = ["embed", str(path), "--encoder", "bundled", "--device", "cpu", "--json"]
    assert main([*ask, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "synthetic tissue; its store will say so" in printed.err
    store = open_store(json.loads(printed.out)[0]["store"])
    assert store.attrs["synthetic"]["generator"] == "bundled"
    draw_slide(tmp_path / "real.tif", width=1024, height=1024)
    ask[1] = str(tmp_path / "real.tif")
    assert main([*ask, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert "synthetic" not in printed.err
    real = open_store(json.loads(printed.out)[0]["store"])
    assert "synthetic" not in real.attrs
    with open_slide(path) as opened:
        assert opened.synthetic is not None
