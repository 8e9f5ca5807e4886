"""``repair`` from a shell: a rectangle or polygons, files that say what they are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from napari_pathfm.cli import main
from napari_pathfm.exports import read_provenance
from napari_pathfm.slides import open_slide

FAST = ["--sampler", "euler", "--steps", "1"]


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    from napari_pathfm.slides import draw_slide

    path = tmp_path_factory.mktemp("slides") / "drawn.tif"
    draw_slide(path, width=2048, height=1536)
    return path


def polygons(path, *corners):
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [[*corners, corners[0]]]},
        "properties": {},
    }
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return path


def test_polygons_become_a_repair_that_can_be_made_again(slide_path, tmp_path, capsys):
    mask = polygons(tmp_path / "m.geojson", (603, 505), (671, 522), (640, 590))
    told = ["repair", str(slide_path), "--mask", str(mask), *FAST, "--seed", "3"]
    out = ["--out", str(tmp_path / "out"), "--json"]
    assert main([*told, *out]) == 0
    report = json.loads(capsys.readouterr().out)
    (entry,) = report["images"]
    pixels = np.asarray(Image.open(entry["file"]))
    x, y, *_ = report["box"]
    with open_slide(slide_path) as slide:
        real = slide.read(x, y, 224, 224, mpp=0.5)
    changed = (pixels != real).any(-1)
    assert 0.9 * entry["masked_px"] < changed.sum() <= entry["masked_px"]
    assert not changed[:, : 603 - int(x)].any()
    told = read_provenance(entry["file"])
    assert (told.action, told.seed, told.synthetic) == ("repair", 3, True)
    assert entry["seam"] > 0
    verify = ["provenance", entry["file"], "--verify", "--slide", str(slide_path)]
    assert main(verify) == 0
    assert "byte for byte" in capsys.readouterr().out


def test_a_rectangle_is_a_mask_too(slide_path, tmp_path, capsys):
    rectangle = ["--mask", "600,500,40,30", *FAST, "-n", "2", "--out", str(tmp_path)]
    assert main(["repair", str(slide_path), *rectangle]) == 0
    printed = capsys.readouterr().out
    assert "1200 pixels are synthetic" in printed
    assert len(list(tmp_path.glob("*_seed?.png"))) == 2


@pytest.mark.parametrize(
    ("mask", "says"),
    [
        ("5000,5000,10,10", "leaves drawn.tif"),
        ("0,0,2048,1536", "nothing around it"),
        ("8,8,20,20", "no tissue there"),
        ("absent.geojson", "absent.geojson"),
    ],
)
def test_bad_masks_are_one_line(slide_path, tmp_path, capsys, mask, says):
    out = tmp_path / "out"
    assert main(["repair", str(slide_path), "--mask", mask, "--out", str(out)]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("napari-pathfm: ")
    assert says in line


def test_polygons_without_area_and_boxes_that_are_none(slide_path, tmp_path, capsys):
    flat = polygons(tmp_path / "flat.geojson", (1, 1), (5, 5), (9, 9))
    out = ["--out", str(tmp_path / "out")]
    assert main(["repair", str(slide_path), "--mask", str(flat), *out]) == 1
    assert "no polygon" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        main(["repair", str(slide_path), "--mask", "1,2,3,0", *out])
    assert stop.value.code == 2
