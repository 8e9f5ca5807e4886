"""GeoJSON in: nothing lost, nothing unbounded, nothing run."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import shapely

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import (
    QuPathObject,
    object_id,
    read_geojson,
    write_geojson,
    write_objects,
)
from napari_pathfm.exports import _json_stream as json_stream

if TYPE_CHECKING:
    from pathlib import Path

SQUARE = [[[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]]]


def _feature(
    coordinates: Any = SQUARE, kind: str = "Polygon", **known: Any
) -> dict[str, Any]:
    members = {key: known.pop(key) for key in ("id", "nucleusGeometry") if key in known}
    return members | {
        "type": "Feature",
        "geometry": {"type": kind, "coordinates": coordinates},
        "properties": known,
    }


def _file(tmp_path: Path, document: Any) -> Path:
    path = tmp_path / "in.geojson"
    path.write_text(
        document if isinstance(document, str) else json.dumps(document), "utf-8"
    )
    return path


def _ids(count: int) -> list[str]:
    return [str(uuid.UUID(int=number + 1)) for number in range(count)]


def test_what_is_unknown_is_written_back(tmp_path: Path) -> None:
    nucleus = {"type": "Polygon", "coordinates": [[[2, 2], [4, 2], [4, 4], [2, 2]]]}
    features = [
        _feature(
            id=_ids(1)[0],
            objectType="cell",
            nucleusGeometry=nucleus,
            plane={"z": 3},
            isMissing=True,
        )
    ]
    source = {"made by": ["another program", 1.5]}
    path = _file(
        tmp_path, {"type": "FeatureCollection", "features": features, "source": source}
    )
    objects = read_geojson(path)
    assert objects.notices == []
    again = tmp_path / "again.geojson"
    assert write_objects(again, objects) == 1
    written = json.loads(again.read_text())
    assert written["source"] == source
    (feature,) = written["features"]
    assert feature["nucleusGeometry"] == nucleus
    assert feature["properties"]["plane"] == {"z": 3}
    assert feature["properties"]["isMissing"] is True
    assert read_geojson(again) == objects


def test_children_are_written_within_their_parents(tmp_path: Path) -> None:
    a, b, c, d = _ids(4)
    inner = _feature(id=b, name="b", childObjects=[_feature(id=c, name="c")])
    path = _file(
        tmp_path, [_feature(id=a, name="a", childObjects=[inner, _feature(id=d)])]
    )
    objects = read_geojson(path)
    assert [found.parent for found in objects] == [None, 0, 1, 0]
    again = tmp_path / "again.geojson.gz"
    assert write_objects(again, objects) == 4
    assert read_geojson(again) == objects


def test_children_that_stand_before_their_parent_s_own_name(tmp_path: Path) -> None:
    child = json.dumps(_feature(name="child"))
    geometry = json.dumps({"type": "Polygon", "coordinates": SQUARE})
    text = (
        '[{"properties": {"childObjects": [' + child + '], "name": "parent"},'
        '"geometry": ' + geometry + ', "type": "Feature"}]'
    )
    objects = read_geojson(_file(tmp_path, text))
    assert [(found.name, found.parent) for found in objects] == [
        ("parent", None),
        ("child", 0),
    ]


def test_ten_thousand_generations(tmp_path: Path) -> None:
    head = json.dumps(_feature())[:-2] + '"childObjects":['
    depth = 10_000
    path = _file(tmp_path, "[" + head * depth + "]}}" * depth + "]")
    objects = read_geojson(path)
    assert len(objects) == depth
    assert objects[-1].parent == depth - 2
    again = tmp_path / "again.geojson"
    assert write_objects(again, objects) == depth
    assert len(read_geojson(again)) == depth


def test_parents_by_name(tmp_path: Path) -> None:
    a, b = _ids(2)
    child = _feature(id=a, parent=b.upper())
    objects = read_geojson(_file(tmp_path, [child, _feature(id=b)]))
    assert [found.parent for found in objects] == [1, None]
    assert objects[0].extra == {}
    assert objects.notices == []


def test_parents_in_a_circle_or_absent(tmp_path: Path) -> None:
    a, b, c, d, absent = _ids(5)
    features = [
        _feature(id=a, parent=b),
        _feature(id=b, parent=a),
        _feature(id=c, parent=c),
        _feature(id=d, parent=absent),
    ]
    objects = read_geojson(_file(tmp_path, features))
    assert sorted(found.parent is None for found in objects) == [
        False,
        True,
        True,
        True,
    ]
    assert len(objects.notices) == 3
    assert write_objects(tmp_path / "out.geojson", objects) == 4


def test_a_circle_is_not_written(tmp_path: Path) -> None:
    square = shapely.box(0, 0, 1, 1)
    circle = [QuPathObject(square, parent=1), QuPathObject(square, parent=0)]
    with pytest.raises(OutputError, match="own ancestor"):
        write_objects(tmp_path / "out.geojson", [QuPathObject(square), *circle])
    assert list(tmp_path.iterdir()) == []


def test_crossing_outlines_are_repaired_and_told(tmp_path: Path) -> None:
    bow = [[[0, 0], [8, 8], [8, 0], [0, 8], [0, 0]]]
    flat = [[[0, 0], [8, 0], [4, 0], [0, 0]]]
    objects = read_geojson(_file(tmp_path, [_feature(), _feature(bow), _feature(flat)]))
    assert [found.geometry.is_valid for found in objects] == [True] * 3
    assert objects[1].geometry.area == 32
    assert objects[2].geometry.geom_type == "LineString"
    assert [notice.split()[1] for notice in objects.notices] == ["2", "3"]


def test_ids(tmp_path: Path) -> None:
    (a,) = _ids(1)
    objects = read_geojson(
        _file(
            tmp_path, [_feature(id=a.upper()), _feature(id="region 7"), _feature(id=a)]
        )
    )
    assert [found.id for found in objects] == [a, object_id("region 7"), None]
    (notice,) = objects.notices
    assert notice.startswith("Object 3 had the id of object 1")


def test_holes_parts_and_open_rings(tmp_path: Path) -> None:
    hole = [[2, 2], [2, 4], [4, 4], [4, 2], [2, 2]]
    far = [[[20, 20], [28, 20], [28, 28]]]  # not closed
    objects = read_geojson(
        _file(tmp_path, [_feature([[*SQUARE, hole], far], "MultiPolygon"),
                         _feature([SQUARE], "MultiPolygon")])
    )  # fmt: skip
    assert objects[0].geometry.area == 64 - 4 + 32
    again = tmp_path / "again.geojson"
    write_objects(again, objects)
    first, second = json.loads(again.read_text())["features"]
    assert first["geometry"]["type"] == "MultiPolygon"
    assert second["geometry"]["type"] == "Polygon"
    for polygon in first["geometry"]["coordinates"]:
        for ring in polygon:
            assert ring[0] == ring[-1]


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 64])
def test_pieces_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    feature = _feature(
        name='quo"te, π \\', measurements={"a": -12.5e-3, "b": "NaN"}, n=1234, t=True
    )
    document = {"n": 12, "features": [feature, feature], "type": "FeatureCollection"}
    path = _file(tmp_path, json.dumps(document, ensure_ascii=False, indent=1) + " \n")
    whole = read_geojson(path)
    monkeypatch.setattr(json_stream, "_CHUNK", chunk)
    found = read_geojson(path)
    assert found.members == whole.members == {"n": 12}
    assert repr(found) == repr(whole)
    assert found[1].extra == {"n": 1234, "t": True}


def test_every_truncation_is_one_line(tmp_path: Path) -> None:
    objects = [QuPathObject(shapely.box(0, 0, 8, 8), name="π", measurements={"a": 1.5})]
    path = tmp_path / "a.geojson"
    write_objects(path, objects)
    text = path.read_text().strip()
    for end in range(len(text)):
        path.write_text(text[:end])
        with pytest.raises(PathfmError) as caught:
            read_geojson(path)
        assert "\n" not in str(caught.value)
        assert "a.geojson" in str(caught.value)


def test_an_enormous_ring_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "LARGEST_VALUE", 10_000)
    monkeypatch.setattr(json_stream, "_CHUNK", 1000)
    ring = [[number, number % 7] for number in range(5000)]
    path = _file(tmp_path, [_feature([ring])])
    with pytest.raises(PathfmError, match=r"cannot be read: one value has over 10,000"):
        read_geojson(path)


def test_many_objects_are_no_enormous_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "LARGEST_VALUE", 1000)
    monkeypatch.setattr(json_stream, "_CHUNK", 100)
    children = [_feature() for _ in range(100)]
    assert len(read_geojson(_file(tmp_path, [_feature(childObjects=children)]))) == 101


def test_text_behind_the_end(tmp_path: Path) -> None:
    path = _file(tmp_path, json.dumps([_feature()]) + "]")
    with pytest.raises(PathfmError, match="more text"):
        read_geojson(path)


def test_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([_feature()]).encode())
    assert len(read_geojson(path)) == 1


def test_features_of_others_still_have_one_writer(tmp_path: Path) -> None:
    path = tmp_path / "a.geojson"
    found = QuPathObject(shapely.Point(1, 2), extra={"k": 1})
    assert write_geojson(path, [found.to_feature()]) == 1
    assert read_geojson(path)[0].extra == {"k": 1}
