"""Tables of what tiles and objects measure, against sums done by hand."""

from __future__ import annotations

import csv
import sys
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely

from napari_pathfm.cli import main
from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import (
    QuPathObject,
    export_heatmap_ome_tiff,
    object_id,
    object_table,
    read_heatmaps,
    tile_features,
    tile_table,
    write_objects,
    write_table,
)
from napari_pathfm.heatmaps import Heatmap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def heatmap() -> Heatmap:
    values = np.arange(48, dtype=np.float32).reshape(6, 8)
    values[0, 0] = np.nan
    return Heatmap(
        values, (100.0, 200.0), 10.0, 0.5, "warmth", provenance={"slide": "a", "n": [1]}
    )


@pytest.fixture
def objects() -> list[QuPathObject]:
    return [
        QuPathObject(
            shapely.box(120, 210, 150, 230), id=object_id("a"), classification="Tumor",
            name="first", measurements={"cells": 3.0, "warmth mean": -1.0},
        ),
        QuPathObject(shapely.box(131, 221, 132, 222), object_type="cell"),
        QuPathObject(shapely.box(100, 200, 110, 210)),
        QuPathObject(shapely.Point(1, 2)),
        QuPathObject(shapely.box(120, 210, 150, 230) - shapely.box(130, 205, 140, 235)),
    ]  # fmt: skip


def test_objects(heatmap: Heatmap, objects: list[QuPathObject]) -> None:
    table = object_table(objects, [heatmap])
    # Columns 2 to 4 of rows 1 and 2; the object's own measurement keeps its name.
    inside = heatmap.values[1:3, 2:5].ravel()
    assert table["warmth mean"][0] == -1
    np.testing.assert_allclose(
        table["warmth mean (2)"],
        [inside.mean(), 8 * 2 + 3, np.nan, np.nan, (inside.sum() - 11 - 19) / 4],
    )
    np.testing.assert_allclose(table["warmth q05"][0], np.quantile(inside, 0.05))
    np.testing.assert_allclose(table["warmth q50"][0], np.median(inside))
    np.testing.assert_allclose(table["area_px2"], [600, 1, 100, 0, 400])
    np.testing.assert_allclose(table["area_um2"], [150, 0.25, 25, 0, 100])
    assert table["class"] == ["Tumor", "", "", "", ""]
    assert table["type"][1] == "cell"
    np.testing.assert_array_equal(table["cells"], [3, *[np.nan] * 4])
    assert (table["x"][0], table["y"][0]) == (135, 220)


def test_nearest_class_and_top_similarity(
    heatmap: Heatmap, objects: list[QuPathObject]
) -> None:
    other = replace(heatmap, values=24 - heatmap.values, name="cold")
    table = object_table(objects, [heatmap, other])
    means = np.stack([table[name] for name in ("warmth mean (2)", "cold mean")])
    names = np.array(["warmth", "cold"])
    for row in range(len(objects)):
        if np.isnan(means[:, row]).all():
            assert table["nearest class"][row] == ""
            assert np.isnan(table["top similarity"][row])
        else:
            assert table["nearest class"][row] == names[means[:, row].argmax()]
            assert table["top similarity"][row] == means[:, row].max()
    assert {"warmth", ""} <= set(table["nearest class"])
    assert "nearest class" not in object_table(objects, [heatmap])
    coords = np.array([[110, 220], [5000, 5000]])
    tiles = tile_table(coords, 10, heatmaps=[heatmap, other], mpp=0.5)
    assert tiles["nearest class"] == ["warmth", ""]
    np.testing.assert_array_equal(tiles["top similarity"], [8 * 2 + 1, np.nan])


def test_areas_are_not_guessed(objects: list[QuPathObject]) -> None:
    assert np.isnan(object_table(objects)["area_um2"]).all()
    assert object_table(objects, mpp=0.25)["area_um2"][0] == 37.5


def test_tiles_have_the_ids_of_the_geojson(heatmap: Heatmap) -> None:
    coords = np.array([[100, 200], [110, 220], [5000, 5000]])
    table = tile_table(
        coords, 10, {"score": [1, 2, 3]}, [heatmap], mpp=0.5, id_namespace="slide"
    )
    features = tile_features(coords, 10, id_namespace="slide")
    assert table["id"] == [feature["id"] for feature in features]
    assert len({uuid.UUID(key).version for key in table["id"]} | {5}) == 1
    np.testing.assert_array_equal(table["warmth"], [np.nan, 8 * 2 + 1, np.nan])
    np.testing.assert_array_equal(table["area_um2"], 25)
    np.testing.assert_array_equal(table["score"], [1, 2, 3])


def test_ids_are_those_of_the_standard_library() -> None:
    space = uuid.uuid5(uuid.NAMESPACE_DNS, "napari-pathfm.exports")
    for number in range(200):
        key = ("π", number, 0.5)
        assert object_id(*key) == str(uuid.uuid5(space, "\x1f".join(map(str, key))))


def test_csv_and_parquet_say_the_same(
    tmp_path: Path, heatmap: Heatmap, objects: list[QuPathObject]
) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = object_table(objects, [heatmap])
    text, columns = tmp_path / "a.csv", tmp_path / "a.parquet"
    assert write_table(text, table) == write_table(columns, table) == 5
    with open(text, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = parquet.read_table(columns).to_pydict()
    assert list(rows[0]) == list(found) == list(table)
    for name, values in table.items():
        if isinstance(values, list):
            assert [row[name] for row in rows] == found[name] == values
        else:
            np.testing.assert_array_equal([float(row[name]) for row in rows], values)
            np.testing.assert_array_equal(found[name], values)


def test_what_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves_nothing: Callable[[], None]
) -> None:
    with pytest.raises(OutputError, match="no rows"):
        write_table(tmp_path / "a.csv", {"x": []})
    with pytest.raises(OutputError, match=r"must end in \.csv or \.parquet"):
        write_table(tmp_path / "a.xlsx", {"x": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(OutputError, match=r"needs pyarrow: pip install"):
        write_table(tmp_path / "a.parquet", {"x": [1]})
    leaves_nothing()


def test_heatmaps_come_back(tmp_path: Path, heatmap: Heatmap) -> None:
    path = tmp_path / "map.ome.tif"
    export_heatmap_ome_tiff(heatmap, path)
    (found,) = read_heatmaps(path)
    np.testing.assert_array_equal(found.values, heatmap.values)
    for name in ("origin", "stride", "mpp", "name", "provenance"):
        assert getattr(found, name) == getattr(heatmap, name)


def test_foreign_tiffs_are_no_heatmaps(tmp_path: Path) -> None:
    import tifffile

    path = tmp_path / "other.ome.tif"
    tifffile.imwrite(path, np.zeros((4, 4), np.float32), ome=True)
    with pytest.raises(PathfmError, match="is no picture of this program"):
        read_heatmaps(path)
    path.write_bytes(b"nothing")
    with pytest.raises(PathfmError, match="cannot be read"):
        read_heatmaps(path)
    with pytest.raises(PathfmError, match="cannot be read"):
        read_heatmaps(tmp_path / "absent.ome.tif")


def test_from_the_shell(
    tmp_path: Path,
    heatmap: Heatmap,
    objects: list[QuPathObject],
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, warmth = tmp_path / "a.geojson", tmp_path / "map.ome.tif"
    out = tmp_path / "a.csv"
    write_objects(source, objects)
    export_heatmap_ome_tiff(heatmap, warmth)
    command = ["export", str(source), "--heatmap", str(warmth), "--out", str(out)]
    assert main(command) == 0
    assert "5 rows, 16 columns" in capsys.readouterr().out
    assert out.read_text(encoding="utf-8").count("\n") == 6
    assert main(["export", str(source), str(source), "--out", str(out)]) == 1
    assert "one store or one FILE.geojson" in capsys.readouterr().err
