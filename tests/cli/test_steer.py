"""``generate --steer`` and on glass, from a shell."""

from __future__ import annotations

import json

import pytest

from napari_pathfm.cli import main
from napari_pathfm.exports import read_provenance

FAST = ["--sampler", "euler", "--steps", "1", "--frames", "3"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A drawn slide, and a classifier of two places of it."""
    from napari_pathfm.slides import draw_slide

    folder = tmp_path_factory.mktemp("steer")
    slide = folder / "drawn.tif"
    draw_slide(slide, width=2048, height=1536)
    assert main(["embed", str(slide), "--out", str(folder)]) == 0
    labels = {"type": "FeatureCollection", "features": []}
    for name, x, y in (("a", 500, 400), ("b", 1200, 800)):
        ring = [[x, y], [x + 240, y], [x + 240, y + 240], [x, y + 240], [x, y]]
        labels["features"].append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {
                    "objectType": "annotation",
                    "classification": {"name": name, "color": [1, 2, 3]},
                },
            }
        )
    (folder / "labels.geojson").write_text(json.dumps(labels))
    told = ["heatmap", str(folder / "drawn.bundled.zarr")]
    told += ["--labels", str(folder / "labels.geojson")]
    told += ["--save-classifier", str(folder / "few.json")]
    assert main([*told, "--out", str(folder / "map.ome.tif")]) == 0
    return folder


def generate(folder, *more):
    slide = str(folder / "drawn.tif")
    return ["generate", slide, "--at", "600,500", *more]


def test_a_tile_is_steered_and_its_steps_can_be_made_again(folder, tmp_path, capsys):
    told = generate(folder, "--steer", str(folder / "few.json"), "--towards", "b")
    told += ["--reach", "0.7", *FAST, "--out", str(tmp_path)]
    capsys.readouterr()
    assert main([*told, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    entries = report["images"]
    assert len(entries) == 3
    assert entries[0]["condition_probability"] == pytest.approx(
        report["real_probability"], abs=1e-3
    )
    assert entries[-1]["condition_probability"] >= 0.7
    assert all(0 <= entry["probability"] <= 1 for entry in entries)
    assert len(read_provenance(report["strip"])) == 3
    verify = ["provenance", entries[1]["file"], "--verify"]
    assert main([*verify, "--slide", str(folder / "drawn.tif")]) == 0
    capsys.readouterr()
    assert main(told) == 0
    assert "real tile: b 0." in capsys.readouterr().out


def test_places_may_say_where_to(folder, tmp_path, capsys):
    told = generate(folder, "--like", "1300,900", "--unlike", "620,520", *FAST)
    assert main([*told, "--out", str(tmp_path)]) == 0
    assert "degrees from the tile, cosine to it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "towards", "says"),
    [
        ({"encoder": "h0-mini"}, "b", "fitted to h0-mini"),
        ({}, "c", "no class 'c': it tells apart a, b"),
    ],
)
def test_what_does_not_fit_is_one_line_before_any_work(
    folder, tmp_path, capsys, changes, towards, says
):
    content = json.loads((folder / "few.json").read_text())
    content["provenance"] |= changes
    (tmp_path / "few.json").write_text(json.dumps(content))
    told = generate(folder, "--steer", str(tmp_path / "few.json"), "--towards", towards)
    assert main([*told, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [[], ["--to", "600,500"]])
def test_glass_is_one_line_before_any_work(folder, tmp_path, capsys, more):
    told = ["generate", str(folder / "drawn.tif"), "--at", "20,20", *more]
    assert main([*told, "--out", str(tmp_path / "out")]) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "(20, 20) of drawn.tif is glass" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "more",
    [
        ["--towards", "b"],
        ["--steer", "few.json"],
        ["--reach", "0.5"],
        ["--like", "5,5"],
        ["--steer", "a", "--towards", "b", "--like", "5,5"],
        ["--steer", "few.json", "--towards", "b", "--to", "5,5"],
        ["--steer", "few.json", "--towards", "b", "--unconditional"],
        ["--steer", "few.json", "--towards", "b", "--at", "5,5"],
    ],
)
def test_bad_usage(folder, tmp_path, more):
    with pytest.raises(SystemExit) as stop:
        main(generate(folder, *more, "--out", str(tmp_path)))
    assert stop.value.code == 2
