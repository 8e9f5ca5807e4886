"""GeoJSON files: streamed, whole or absent, and read in every dialect of QuPath."""

from __future__ import annotations

import gzip
import json
import math
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import (
    annotation_feature,
    read_geojson,
    tile_features,
    write_geojson,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def _point(x: float = 1, y: float = 2, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": "Point", "coordinates": [x, y]},
        "properties": properties,
    }


def _read(tmp_path: Path, document: Any) -> list[Any]:
    path = tmp_path / "in.geojson"
    path.write_text(json.dumps(document), encoding="utf-8")
    return read_geojson(path)


def test_streams(tmp_path: Path) -> None:
    count = 4000
    coords = np.stack(np.divmod(np.arange(count), 200), 1) * 224
    path = tmp_path / "tiles.geojson"
    features = tile_features(coords, 224, {"score": np.arange(float(count))})
    tracemalloc.start()
    assert write_geojson(path, features) == count
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The list of these features would take some 8 MB; the columns take under half.
    assert peak < 2e6
    assert path.stat().st_size > 9e5


def test_gzip(tmp_path: Path, check: Callable[[Path], list[dict]]) -> None:
    feature = annotation_feature(shapely.box(0, 0, 9, 9), name="π", id="one")
    plain, packed = tmp_path / "a.geojson", tmp_path / "a.GEOJSON.gz"
    write_geojson(plain, [feature])
    write_geojson(packed, [feature])
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    check(packed)
    (found,) = read_geojson(packed)
    assert (found.name, found.geometry) == ("π", shapely.box(0, 0, 9, 9))
    # No time in the header: the same objects are the same bytes tomorrow.
    assert packed.read_bytes()[4:8] == bytes(4)
    again = tmp_path / "b.geojson.gz"
    write_geojson(again, [feature])
    assert again.read_bytes() == packed.read_bytes()


def test_replaces_an_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text("old")
    write_geojson(path, [annotation_feature(shapely.Point(1, 2))])
    assert len(read_geojson(path)) == 1
    assert list(tmp_path.iterdir()) == [path]


def test_failing_midway_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_text("old")

    def features() -> Iterator[dict[str, Any]]:
        yield annotation_feature(shapely.Point(1, 2))
        raise RuntimeError("the slide is gone")

    with pytest.raises(RuntimeError, match="the slide is gone"):
        write_geojson(path, features())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "name", ["absent/a.geojson", "a.txt", "a", "folder.geojson", "file/a.geojson"]
)
def test_unwritable(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.geojson").mkdir()
    (tmp_path / "file").write_text("a file, not a folder")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OutputError) as caught:
        write_geojson(tmp_path / name, [annotation_feature(shapely.Point(1, 2))])
    message = str(caught.value)
    assert str(tmp_path / name) in message
    assert "\n" not in message
    assert sorted(tmp_path.rglob("*")) == before


def test_refusal_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves_nothing: Callable[[], None]
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OutputError, match=r"a\.geojson.*No space left"):
        write_geojson(tmp_path / "a.geojson", [annotation_feature(shapely.Point(1, 2))])
    leaves_nothing()


def test_nothing_to_export(tmp_path: Path, leaves_nothing: Callable[[], None]) -> None:
    with pytest.raises(OutputError, match="Nothing to export"):
        write_geojson(tmp_path / "a.geojson", iter(()))
    leaves_nothing()


def test_provenance_stands_beside_the_features(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    path = tmp_path / "a.geojson"
    made_by = {"encoder": "bundled", "mpp": np.float64(0.5), "best": math.nan}
    write_geojson(path, [annotation_feature(shapely.Point(1, 2))], provenance=made_by)
    check(path)
    stored = json.loads(path.read_text())["napari_pathfm"]
    assert stored == {"encoder": "bundled", "mpp": 0.5, "best": "NaN"}


def test_every_shape_of_document(tmp_path: Path) -> None:
    feature = _point(3, 4, name="x")
    for document in (
        {"type": "FeatureCollection", "features": [feature], "crs": {}},
        [feature],
        feature,
    ):
        (found,) = _read(tmp_path, document)
        assert (found.geometry, found.name) == (shapely.Point(3, 4), "x")
    (bare,) = _read(tmp_path, feature["geometry"])
    assert bare.geometry == shapely.Point(3, 4)


def test_dialects_of_measurements(tmp_path: Path) -> None:
    path = tmp_path / "in.geojson"
    # The last is what QuPath itself wrote before 0.4.4: no JSON, but on many disks.
    for text in (
        '{"a": 1, "b": "NaN", "c": "-Infinity", "d": null}',
        '[{"name": "a", "value": 1}, {"name": "b", "value": "NaN"},'
        ' {"name": "c", "value": "-Infinity"}, {"name": "d"}]',
        '{"a": 1, "b": NaN, "c": -Infinity, "d": NaN}',
    ):
        feature = json.dumps(_point(measurements="@")).replace('"@"', text)
        path.write_text(feature)
        found = read_geojson(path)[0].measurements
        assert found["a"] == 1
        assert math.isnan(found["b"])
        assert found["c"] == -math.inf
        assert math.isnan(found["d"])


@pytest.mark.parametrize(
    ("classification", "name", "color"),
    [
        ({"name": "Tumor", "color": [200, 0, 0]}, "Tumor", (200, 0, 0)),
        ({"names": ["Tumor", "Positive"]}, "Tumor: Positive", None),
        ("Stroma", "Stroma", None),
        ({"name": "Tumor", "colorRGB": -3670016}, "Tumor", (200, 0, 0)),
        (
            {"name": "Positive", "parentClass": {"name": "Tumor"}, "colorRGB": -1},
            "Tumor: Positive",
            (255, 255, 255),
        ),
        ({}, None, None),
        (None, None, None),
    ],
)
def test_dialects_of_classes(
    tmp_path: Path, classification: Any, name: str | None, color: Any
) -> None:
    (found,) = _read(tmp_path, _point(classification=classification))
    assert (found.classification, found.color) == (name, color)


def test_dialects_of_types(tmp_path: Path) -> None:
    legacy = _point()
    legacy["id"] = "PathTileObject"
    documents = [
        _point(objectType="detection"),
        _point(object_type="tma_core"),
        _point(objectType="what is this"),
        _point(),
        legacy,
    ]
    found = _read(tmp_path, documents)
    kinds = [item.object_type for item in found]
    assert kinds == ["detection", "tmaCore", "annotation", "annotation", "tile"]
    assert {item.id for item in found} == {None}


def test_children_follow_their_parents(tmp_path: Path) -> None:
    inner = _point(3, 3, name="inner", childObjects=[_point(4, 4, name="innermost")])
    outer = _point(1, 1, name="outer", childObjects=[inner, _point(5, 5, name="twin")])
    found = _read(tmp_path, [outer, _point(6, 6, name="alone")])
    tree = [(item.name, item.parent) for item in found]
    assert tree == [
        ("outer", None),
        ("inner", 0),
        ("innermost", 1),
        ("twin", 0),
        ("alone", None),
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is no GeoJSON"),
        ("not json", "is no GeoJSON"),
        ('{"type": "FeatureCollection", "features": [{"ty', "only a part"),
        ('{"type": "Topology"}', "neither a FeatureCollection"),
        ("3", "neither a FeatureCollection"),
        ('{"type": "FeatureCollection"}', "neither a FeatureCollection"),
        ("[7]", "object 1"),
        ('[{"type": "Feature"}]', "no geometry"),
        ('[{"geometry": null}]', "no geometry"),
        ('[{"geometry": {"type": "Circle", "coordinates": [1, 2]}}]', "object 1"),
        ('[{"geometry": {"type": "Polygon", "coordinates": [[[0, 0]]]}}]', "object 1"),
        ('[{"geometry": {"type": "Polygon", "coordinates": "x"}}]', "object 1"),
        ('[{"geometry": {"type": "Polygon", "coordinates": []}}]', "no coordinates"),
        ('[{"geometry": {"type": "Point", "coordinates": [NaN, 1]}}]', "object 1"),
        ('[{"geometry": {"type": "Point", "coordinates": ["a", {}]}}]', "object 1"),
        ("[" * 100_000, "nested too deep|is no GeoJSON"),
        ("9" * 5000, "is no GeoJSON|neither"),
    ],
)
def test_malformed(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "bad.geojson"
    path.write_text(text)
    with pytest.raises(PathfmError, match=fault) as caught:
        read_geojson(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "properties",
    [
        {"measurements": 3},
        {"measurements": {"a": "many"}},
        {"measurements": [{"value": 1}]},
        {"measurements": {"a": 10**400}},
        {"color": "red"},
        {"color": [1, 2]},
        {"classification": {"name": "T", "color": [1e400, 0, 0]}},
        {"classification": 5},
        {"metadata": "text"},
        {"childObjects": 1},
        {"childObjects": [None]},
    ],
)
def test_malformed_properties(tmp_path: Path, properties: dict[str, Any]) -> None:
    with pytest.raises(PathfmError, match=r"in\.geojson: object [12] cannot") as caught:
        _read(tmp_path, [_point(**properties)])
    assert "\n" not in str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson.gz"
    write_geojson(path, [annotation_feature(shapely.Point(1, 2))])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PathfmError, match="cannot be read"):
        read_geojson(path)
    path.write_bytes(b"\xff\xfe\x00\xd8 no text")
    with pytest.raises(PathfmError, match="is no GeoJSON"):
        read_geojson(path)
    with pytest.raises(PathfmError, match="There is no file"):
        read_geojson(tmp_path / "absent.geojson")
    with pytest.raises(PathfmError, match="cannot be read"):
        read_geojson(tmp_path)


def test_deep_children_are_no_danger(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    depth = 200
    head = (
        '{"type":"Feature","geometry":{"type":"Point","coordinates":[1,2]},'
        '"properties":{"childObjects":['
    )
    path.write_text(head * depth + "]}}" * depth)
    found = read_geojson(path)
    assert len(found) == depth
    assert found[-1].parent == depth - 2
