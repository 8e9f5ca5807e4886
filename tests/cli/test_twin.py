"""``twin`` from a shell: an OME-TIFF that can be made again."""

from __future__ import annotations

import json

import pytest

from napari_pathfm.cli import main
from napari_pathfm.exports import read_provenance

FAST = ["--sampler", "euler", "--steps", "1"]


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory):
    from napari_pathfm.slides import draw_slide

    path = tmp_path_factory.mktemp("slides") / "drawn.tif"
    draw_slide(path, width=2048, height=1536)
    return path


def test_a_region_becomes_a_file_that_can_be_made_again(slide_path, tmp_path, capsys):
    out = tmp_path / "twin.ome.tif"
    told = ["twin", str(slide_path), "--box", "600,496,300,230", *FAST]
    assert main([*told, "--seed", "5", "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["width"], report["height"]) == (304, 232)
    assert report["seam"] > 0
    provenance = read_provenance(out)
    assert (provenance.action, provenance.seed) == ("twin", 5)
    verify = ["provenance", str(out), "--verify", "--slide", str(slide_path)]
    assert main(verify) == 0
    assert "byte for byte" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("box", "out", "says"),
    [
        ("5000,0,300,300", "a.ome.tif", "leaves drawn.tif"),
        ("600,500,50,50", "a.ome.tif", "smaller than a tile"),
        ("600,500,300,300", "a.png", ".ome.tif"),
        ("600,500,300,300", "absent/a.ome.tif", "no folder"),
    ],
)
def test_bad_regions_and_names_are_one_line(
    slide_path, tmp_path, capsys, box, out, says
):
    told = ["twin", str(slide_path), "--box", box, "--out", str(tmp_path / out)]
    assert main(told) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not list(tmp_path.iterdir())
