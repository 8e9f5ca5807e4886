"""``heatmap`` by labels and without, and ``search``: on the real slide."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import shapely

from napari_pathfm.cli import main
from napari_pathfm.exports import annotation_feature as feature
from napari_pathfm.exports import read_geojson, read_heatmaps, write_geojson

REGIONS = Path(__file__).parent.parent / "data" / "cmu_regions.geojson"


@pytest.fixture(scope="module")
def store(cmu_slide_path, tmp_path_factory):
    out = tmp_path_factory.mktemp("maps")
    assert main(["embed", str(cmu_slide_path), "--out", str(out), "--json"]) == 0
    (path,) = out.glob("*.zarr")
    return path


@pytest.fixture(scope="module")
def regions():
    objects = read_geojson(REGIONS)
    return {
        name: shapely.union_all(
            [one.geometry for one in objects if one.classification == name]
        )
        for name in ("Epidermis", "Dermis")
    }


def told(capsys):
    return json.loads(capsys.readouterr().out)


def test_labels_become_classes_that_hold_elsewhere(store, regions, tmp_path, capsys):
    out, kept = tmp_path / "classes.geojson", tmp_path / "skin.json"
    run = ["heatmap", str(store), "--labels", str(REGIONS), "--out", str(out), "--json"]
    assert main([*run, "--save-classifier", str(kept)]) == 0
    report = told(capsys)
    assert report["labels"] == {"Epidermis": 6, "Dermis": 8}
    assert report["misplaced"] == 0
    assert report["validation"]["folds"] == 2
    assert report["validation"]["balanced_accuracy"] > 0.9
    tiles = read_geojson(out)
    assert len(tiles) == report["tiles"] == sum(report["tiles_of"].values())
    right = []
    for tile in tiles:
        chances = [tile.measurements[f"probability of {n}"] for n in regions]
        assert sum(chances) == pytest.approx(1, abs=1e-4)
        for name, region in regions.items():
            if region.contains(tile.geometry.centroid):
                right.append(tile.classification == name)
    assert len(right) > 10
    assert np.mean(right) > 0.9
    assert {tile.color for tile in tiles} == {(86, 40, 120), (230, 120, 140)}
    # The classifier says the same of the same slide, as pixels.
    pixels = tmp_path / "again.ome.tif"
    again = ["heatmap", str(store), "--classifier", str(kept), "--out", str(pixels)]
    assert main(again) == 0
    assert "Epidermis: " in capsys.readouterr().out
    *chances, number = read_heatmaps(pixels)
    assert [one.name for one in chances] == [f"probability of {n}" for n in regions]
    x, y = tiles[0].geometry.centroid.coords[0]
    assert chances[0].at(x, y) == pytest.approx(
        tiles[0].measurements[chances[0].name], abs=1e-5
    )
    assert number.provenance["class_numbers"] == {"1": "Epidermis", "2": "Dermis"}


@pytest.mark.parametrize(
    ("options", "maps"),
    [
        (["--components"], ["component 1", "component 2", "component 3"]),
        (["--components", "2"], ["component 1", "component 2"]),
        (["--outliers"], ["outliers"]),
        (["--clusters", "4"], ["clusters"]),
    ],
)
def test_maps_without_labels(store, tmp_path, capsys, options, maps):
    out = tmp_path / "map.ome.tif"
    assert main(["heatmap", str(store), *options, "--out", str(out), "--json"]) == 0
    found = read_heatmaps(out)
    assert [one.name for one in found] == maps
    report = told(capsys)
    assert (~np.isnan(found[0].values)).sum() == report["tiles"]
    if maps == ["clusters"]:
        assert report["k"] == 4
        assert sum(report["tiles_of"].values()) == report["tiles"]


def test_the_number_of_clusters_is_chosen(store, tmp_path, capsys):
    out = tmp_path / "clusters.geojson"
    assert main(["heatmap", str(store), "--clusters", "--out", str(out), "--json"]) == 0
    report = told(capsys)
    best = max(report["silhouettes"].items(), key=lambda item: item[1])
    assert report["k"] == int(best[0])
    names = {tile.classification for tile in read_geojson(out)}
    assert names == {f"cluster {i + 1}" for i in range(report["k"])}


def test_search_answers_and_writes_a_table(store, tmp_path, capsys):
    table = tmp_path / "hits.csv"
    run = ["search", str(store), "--at", "1200,1900", "--n", "5"]
    assert main([*run, "--out", str(table), "--json"]) == 0
    hits = told(capsys)["hits"]
    assert len(hits) == 5
    assert hits[0]["score"] >= hits[-1]["score"] > 0
    assert len(table.read_text().splitlines()) == 6
    assert main(run) == 0
    assert store.name in capsys.readouterr().out.splitlines()[0]


def test_search_goes_on_without_what_cannot_be_read(store, tmp_path, capsys):
    shutil.copytree(store, tmp_path / "copy.zarr")
    (tmp_path / "bad.zarr").mkdir()
    (tmp_path / "bad.zarr" / "zarr.json").write_text("{")
    run = ["search", str(store), "--at", "1200,1900", "--n", "5", "--json"]
    assert main([*run, "--among", str(tmp_path), str(store)]) == 0
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    (left,) = report["left_out"]
    assert left.endswith("bad.zarr")
    assert "left out: " in printed.err
    assert "bad.zarr is no embedding store" in printed.err
    # The copy is of the same slide: its tiles are no other tiles.
    assert main(run) == 0
    places = [[(h["x"], h["y"]) for h in r["hits"]] for r in (report, told(capsys))]
    assert places[0] == places[1]
    assert main([*run, "--among", str(tmp_path), "--others"]) == 0
    assert told(capsys)["hits"] == []


def test_an_index_is_built_and_searched(store, tmp_path, capsys):
    pytest.importorskip("usearch", reason="usearch is not installed: [index]")
    file = tmp_path / "study.index"
    assert main(["index", str(store.parent), "--out", str(file)]) == 0
    assert "tiles of 1 store" in capsys.readouterr().out
    run = ["search", str(store), "--at", "1200,1900", "--n", "5", "--json"]
    assert main(run) == 0
    exact = told(capsys)["hits"]
    assert main([*run, "--index", str(file)]) == 0
    found = told(capsys)["hits"]
    assert [(h["x"], h["y"]) for h in found] == [(h["x"], h["y"]) for h in exact]
    assert main([*run, "--index", str(tmp_path / "no.index")]) == 1
    assert "build it with `napari-pathfm index" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--labels", "absent.geojson"], "absent.geojson"),
        (["--labels", "plain.geojson"], "no object with a class"),
        (["--labels", "one.geojson"], "at least two classes"),
        (["--classifier", "absent.json"], "cannot be read"),
        (["--clusters", "1"], "at least 2"),
        (["--components", "9999"], "components, not 9999"),
        (["--clusters", "--unlike", "1,1"], "goes with --like"),
        (["--clusters", "--save-classifier", "c.json"], "goes with --labels"),
    ],
)
def test_bad_input_is_one_line(store, tmp_path, capsys, monkeypatch, options, says):
    monkeypatch.chdir(tmp_path)
    square = shapely.box(1100, 1800, 1300, 2000)
    write_geojson("plain.geojson", [feature(square)])
    write_geojson("one.geojson", [feature(square, classification="tumour")])
    assert main(["heatmap", str(store), *options, "--out", "o.geojson"]) == 1
    printed = capsys.readouterr()
    assert says in printed.err
    assert len(printed.err.strip().splitlines()) == 1
    assert not Path("o.geojson").exists()


def test_regions_of_a_file_are_prompts(store, regions, tmp_path, capsys):
    for name, region in regions.items():
        file = tmp_path / f"{name}.geojson"
        parts = getattr(region, "geoms", [region])
        write_geojson(file, [feature(part, name=name) for part in parts])
    like, unlike = (str(tmp_path / f"{n}.geojson") for n in ("Epidermis", "Dermis"))
    out = tmp_path / "map.ome.tif"
    run = ["heatmap", str(store), "--out", str(out), "--json"]
    assert main([*run, "--like", like, "1200,1900", "--unlike", unlike]) == 0
    (found,) = read_heatmaps(out)
    kinds = [one["type"] for one in found.provenance["unlike"]]
    assert set(kinds) == {"Polygon"}
    assert found.provenance["like"][-1] == [1200, 1900]
    rows, columns = np.nonzero(~np.isnan(found.values))
    inside = {name: [] for name in regions}
    for row, column in zip(rows, columns, strict=True):
        x, y = (np.array([column, row]) + 0.5) * found.stride + found.origin
        for name, region in regions.items():
            if region.contains(shapely.Point(x, y)):
                inside[name].append(found.values[row, column])
    assert np.mean(inside["Epidermis"]) > np.mean(inside["Dermis"]) + 0.5
    write_geojson(tmp_path / "none.geojson", [feature(shapely.Point(5, 5))])
    capsys.readouterr()
    assert main([*run, "--like", str(tmp_path / "none.geojson")]) == 1
    assert "holds no region" in capsys.readouterr().err
