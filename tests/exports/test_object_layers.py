"""Objects to layers and back: nothing lost, nothing moved, edits under the same ids.

What napari does to a layer on the way is done here too: vertices become float32, the
features a table of pandas. `tests/viewer` goes through napari itself.
"""

from __future__ import annotations

import math
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_pathfm.errors import OutputError
from napari_pathfm.exports import (
    QuPathObject,
    QuPathObjects,
    export_layers_geojson,
    layer_objects,
    objects_to_layers,
    read_geojson,
    write_objects,
)

if TYPE_CHECKING:
    from pathlib import Path

MPP = 0.2525
SIDE = 150_000  # pixels of a large slide


def through_napari(layers: list[Any]) -> list[Any]:
    gone = []
    for data, attributes, kind in layers:
        if kind == "shapes":
            data = [np.asarray(shape, np.float32) for shape in data]
        attributes = attributes | {"features": pd.DataFrame(attributes["features"])}
        gone.append((data, attributes, kind))
    return gone


def displacement(a: Any, b: Any) -> float:
    """Largest distance of a vertex of one from the other's outline."""
    ends = ((a, b), (b, a))
    return max(
        shapely.distance(shapely.points(shapely.get_coordinates(x)),
                         y.boundary if y.area else y).max()
        for x, y in ends
    )  # fmt: skip


def compare(before: QuPathObjects, after: QuPathObjects) -> None:
    """Ids, classes, colours, measurements, metadata, trees; places to 0.01 px."""
    found = {item.id: item for item in after}
    assert found.keys() == {item.id for item in before}
    for item in before:
        other = found[item.id]
        assert displacement(item.geometry, other.geometry) <= 0.01
        assert item.geometry.geom_type == other.geometry.geom_type
        parent = None if item.parent is None else before[item.parent].id
        theirs = None if other.parent is None else after[other.parent].id
        assert parent == theirs
        same = replace(other, geometry=item.geometry, parent=item.parent)
        if item.color is None:
            same = replace(same, color=None)  # a class without a colour is given one
        assert repr(same) == repr(item)  # repr: NaN is NaN
    assert after.members == before.members


names = st.text(
    st.characters(codec="utf-8", exclude_characters=":", exclude_categories=["C", "Z"]),
    min_size=1,
    max_size=8,
)  # fmt: skip
colors = st.tuples(*[st.integers(0, 255)] * 3)
numbers = st.floats(width=64) | st.integers(-(2**53), 2**53).map(float)
coordinate = st.integers(0, SIDE * 100).map(lambda value: value / 100)
extras = st.dictionaries(
    names.map("x-{}".format),
    st.none() | st.booleans() | st.integers() | names | st.lists(st.integers()),
    max_size=2,
)


@st.composite
def geometries(draw: Any) -> Any:
    x, y = draw(coordinate), draw(coordinate)
    size = draw(st.floats(1, 5000))
    corners = draw(st.integers(3, 12))
    angle = np.arange(corners) * (2 * np.pi / corners)
    growth = st.lists(st.floats(0, 1), min_size=corners, max_size=corners)
    radius = size * (1 + np.array(draw(growth)))
    star = np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)
    hole = (star - (x, y)) * 0.3 + (x, y)
    match draw(
        st.sampled_from(["outline", "hole", "parts", "line", "point", "points"])
    ):
        case "outline":
            return shapely.Polygon(star)
        case "hole":
            return shapely.Polygon(star, [hole])
        case "parts":
            far = shapely.Polygon(star + np.array([6 * size, 0]))
            return shapely.MultiPolygon([shapely.Polygon(star, [hole]), far])
        case "line":
            return shapely.LineString(star)
        case "points":
            return shapely.MultiPoint(star)
        case _:
            return shapely.Point(x, y)


@st.composite
def collections(draw: Any) -> QuPathObjects:
    classes = draw(st.dictionaries(names, colors, min_size=1, max_size=3))
    derived = {f"{name}: {name}+": color for name, color in classes.items()}
    classes |= derived
    objects = QuPathObjects()
    for number in range(draw(st.integers(1, 6))):
        title = draw(st.none() | st.sampled_from(sorted(classes)))
        own = draw(st.none() | colors)
        objects.append(
            QuPathObject(
                draw(geometries()),
                object_type=draw(
                    st.sampled_from(["annotation", "detection", "cell", "tile"])
                ),
                id=str(uuid.UUID(int=draw(st.integers(0, 2**100)) * 64 + number)),
                name=draw(st.none() | names),
                classification=title,
                color=classes[title] if title else own,
                object_color=own if title else None,
                measurements=draw(st.dictionaries(names, numbers, max_size=3)),
                metadata=draw(st.dictionaries(names, st.text(max_size=9), max_size=2)),
                locked=draw(st.booleans()),
                parent=draw(st.none() | st.integers(0, number - 1)) if number else None,
                extra=draw(extras),
                members=draw(extras),
            )
        )
    objects.members = draw(extras)
    return objects


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("trips")


quick = settings(
    max_examples=40, deadline=None, suppress_health_check=list(HealthCheck)
)


@quick
@given(collections(), st.sampled_from([None, MPP]), st.sampled_from([5000, 0]))
def test_from_a_file_to_layers_and_back(
    folder: Path, objects: QuPathObjects, mpp: float | None, most_shapes: int
) -> None:
    first, second = folder / "first.geojson", folder / "second.geojson"
    write_objects(first, objects)
    before = read_geojson(first)
    compare(objects, before)
    layers = objects_to_layers(before, mpp=mpp, most_shapes=most_shapes)
    export_layers_geojson(through_napari(layers), second)
    compare(before, read_geojson(second))


@quick
@given(collections())
def test_from_layers_to_a_file_and_back(folder: Path, objects: QuPathObjects) -> None:
    path = folder / "third.geojson"
    layers = through_napari(objects_to_layers(objects, mpp=MPP))
    export_layers_geojson(layers, path)
    again = through_napari(objects_to_layers(read_geojson(path), mpp=MPP))
    rows = [{}, {}]
    for found, some in zip(rows, (layers, again), strict=True):
        for data, attributes, kind in some:
            scale, shift = attributes["scale"], attributes["translate"]
            table = attributes["features"].to_dict("records")
            for row, places in zip(table, data, strict=True):
                world = np.atleast_2d(places) * scale + shift
                text = repr(sorted(row.items()))
                found[row["id"], row["ring"]] = (kind, world, text)
    assert rows[0].keys() == rows[1].keys()
    for key, (kind, world, row) in rows[0].items():
        other, there, other_row = rows[1][key]
        assert (kind, row) == (other, other_row)
        # Rings may begin elsewhere and turn the other way.
        lines = [shapely.MultiPoint(places / MPP) for places in (world, there)]
        assert shapely.hausdorff_distance(*lines) <= 0.01


def _square(x: float, y: float, side: float = 10, **known: Any) -> QuPathObject:
    known.setdefault("id", str(uuid.uuid4()))
    return QuPathObject(shapely.box(x, y, x + side, y + side), **known)


def test_landmark_to_the_pixel() -> None:
    """Columns 10 to 14 and rows 20 to 22 have borders at half numbers in napari."""
    region = QuPathObject(shapely.box(10, 20, 15, 23))
    ((data, attributes, kind),) = objects_to_layers([region], mpp=MPP)
    assert kind == "shapes"
    world = data[0] * attributes["scale"] + attributes["translate"]
    assert attributes["units"] == ("um", "um")
    borders = {(19.5, 9.5), (19.5, 14.5), (22.5, 14.5), (22.5, 9.5)}
    assert {tuple(np.round(place, 6)) for place in world / MPP} == borders


def test_labels_lie_on_what_they_show() -> None:
    objects = [
        _square(100 + 40 * n, 200, 20, object_type="detection") for n in range(9)
    ]
    ((data, attributes, kind),) = objects_to_layers(objects, mpp=MPP, most_shapes=3)
    assert kind == "labels"
    for number, found in enumerate(objects):
        rows, columns = np.nonzero(data == number + 1)
        places = np.stack([rows, columns], 1) * attributes["scale"]
        places = (places + attributes["translate"]) / MPP + 0.5
        x, y = found.geometry.centroid.coords[0]
        np.testing.assert_allclose(places.mean(axis=0), (y, x), atol=1)
        assert np.abs(places - (y, x)).max() <= 10.6


def test_tiles_have_a_pixel_each() -> None:
    tiles = [
        _square(500 + 224 * x, 700 + 224 * y, 224, object_type="tile",
                measurements={"score": x + 10.0 * y})
        for x in range(7) for y in range(5) if x != y
    ]  # fmt: skip
    ((data, attributes, kind),) = objects_to_layers(tiles, mpp=MPP, most_shapes=3)
    assert (kind, data.shape) == ("labels", (5, 7))
    assert attributes["scale"] == pytest.approx((224 * MPP, 224 * MPP))
    for y, x in np.ndindex(5, 7):
        value = data[y, x]
        if x == y:
            assert value == 0
        else:
            assert attributes["features"]["score"][value - 1] == x + 10 * y


def test_classes_have_a_layer_each() -> None:
    objects = [
        _square(20 * n, 0, classification=f"class {n % 30}", color=(n, 0, 0))
        for n in range(60)
    ]
    layers = objects_to_layers(objects, name="file")
    assert len(layers) == 21
    assert layers[0][1]["name"] == "file: class 0"
    assert layers[-1][1]["name"] == "file: other classes"
    assert layers[1][1]["edge_color"] == ["#010000", "#1f0000"]


def _edited(
    objects: list[QuPathObject], change: Any, **options: Any
) -> list[QuPathObject]:
    ((data, attributes, kind),) = through_napari(
        objects_to_layers(objects, mpp=MPP, **options)
    )
    return layer_objects(change(data, attributes, kind) or (data, attributes, kind))


def test_a_moved_vertex_keeps_the_id() -> None:
    a, b = _square(0, 0, measurements={"m": 1.0}), _square(100, 0)

    def change(data: Any, *_: Any) -> None:
        data[0][np.argmax(data[0].sum(axis=1))] += 5

    first, second = _edited([a, b], change)
    assert (first.id, first.measurements) == (a.id, a.measurements)
    assert first.geometry.bounds == pytest.approx((0, 0, 15, 15), abs=1e-3)
    assert second == b


def test_what_is_edited_in_the_table() -> None:
    known = {"m": 1.0, "n": math.nan}
    a = _square(0, 0, classification="A", color=(1, 2, 3), measurements=known)

    def change(_: Any, attributes: Any, __: Any) -> None:
        row = attributes["features"]
        row.loc[0, ["class", "name", "type"]] = ["B", "new", "detection"]
        row.loc[0, "locked"] = True
        row.loc[0, "m"] = math.nan
        row["o"] = 3.0

    (found,) = _edited([a], change)
    assert found.id == a.id
    assert (found.classification, found.name, found.color) == ("B", "new", None)
    assert (found.object_type, found.locked) == ("detection", True)
    assert found.measurements.keys() == {"n", "o"}
    assert found.measurements["o"] == 3


def test_deleted_and_copied_shapes() -> None:
    objects = [_square(0, 0, classification="A"), _square(100, 0, classification="A")]

    def change(data: Any, attributes: Any, kind: Any) -> Any:
        data = [data[1], data[1] + 7]  # one gone, the other copied with its row
        table = attributes["features"].iloc[[1, 1]].reset_index(drop=True)
        return (
            data,
            attributes | {"features": table, "shape_type": ["polygon"] * 2},
            kind,
        )

    kept, copy = _edited(objects, change)
    assert kept == objects[1]
    assert copy.id is None
    assert copy.classification == "A"
    assert copy.geometry.bounds == pytest.approx((107, 7, 117, 17), abs=1e-3)


def test_a_hole_that_is_deleted_is_filled() -> None:
    ring = shapely.box(0, 0, 30, 30) - shapely.box(10, 10, 20, 20)

    def change(data: Any, attributes: Any, kind: Any) -> Any:
        table = attributes["features"].iloc[[0]]
        return data[:1], attributes | {"features": table}, kind

    (found,) = _edited([QuPathObject(ring, id=str(uuid.uuid4()))], change)
    assert found.geometry.area == 900


def test_ellipses_stay_ellipses_until_they_are_not(tmp_path: Path) -> None:
    angle = np.arange(64) * (2 * np.pi / 64)
    ring = np.stack([100 + 50 * np.cos(angle), 80 + 20 * np.sin(angle)], 1)
    ellipse = QuPathObject(shapely.Polygon(ring), id=str(uuid.uuid4()), ellipse=True)

    def move(data: Any, *_: Any) -> None:
        data[0] += 9

    def bend(data: Any, *_: Any) -> None:
        data[0][0] += 9

    assert _edited([ellipse], lambda *_: None) == [ellipse]
    assert _edited([ellipse], move)[0].ellipse is True
    assert _edited([ellipse], bend)[0].ellipse is False


@pytest.mark.parametrize("side", [20, 224])
def test_painting_over_labels(side: int) -> None:
    kind = "tile" if side == 224 else "detection"
    objects = [_square(303 * n, 0, side, object_type=kind) for n in range(5)]

    def change(data: Any, *_: Any) -> None:
        assert data.max() == 5
        data[data == 1] = 0
        rows, columns = np.nonzero(data == 2)
        data[rows, columns] = np.where(columns < columns.mean(), 3, 2)
        data[0:3, 31:34] = 9

    found = _edited(objects, change, most_shapes=3)
    areas = {item.id: item.geometry.area for item in found}
    assert objects[0].id not in areas
    assert areas[objects[1].id] == pytest.approx(side**2 / 2, abs=side)
    assert areas[objects[2].id] == pytest.approx(side**2 * 1.5, abs=2 * side)
    assert found[2].geometry.equals(objects[3].geometry)
    assert found[-1].id is None


def test_a_layer_that_was_moved_moves_its_objects() -> None:
    for most_shapes in (0, 9):
        found = _edited(
            [_square(0, 0, 20, object_type="cell")],
            lambda data, attributes, kind: (
                data,
                attributes
                | {"translate": np.add(attributes["translate"], (5 * MPP, 3 * MPP))},
                kind,
            ),
            most_shapes=most_shapes,
        )
        assert found[0].geometry.bounds == pytest.approx((3, 5, 23, 25), abs=1e-3)


def test_other_layers_are_saved_with_them(tmp_path: Path) -> None:
    parent = _square(0, 0, 100)
    objects = QuPathObjects([parent, _square(5, 5, classification="A", parent=0)])
    layers = through_napari(objects_to_layers(objects, mpp=MPP))
    scale = {"scale": (MPP, MPP), "units": ("um", "um"), "name": "more"}
    more = (np.array([[1.0, 2.0]]), scale | {"metadata": layers[0][1]["metadata"] | {"napari_pathfm_objects": None}}, "points")  # fmt: skip # noqa: E501
    path = tmp_path / "all.geojson"
    # The same layer twice, as napari's Duplicate makes it: ids must not repeat.
    assert export_layers_geojson([*layers, more, layers[1]], path) == 4
    found = read_geojson(path)
    assert found.notices == []
    assert len({item.id for item in found}) == 4
    assert found[1].parent == 0
    assert [i.geometry.geom_type for i in found].count("Point") == 1


def test_foreign_layers_are_refused() -> None:
    with pytest.raises(OutputError, match="was not made from"):
        layer_objects(([], {"name": "foreign"}, "shapes"))
