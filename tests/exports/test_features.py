"""Annotations in QuPath's form, and back."""

from __future__ import annotations

import json
import math
import uuid
from typing import TYPE_CHECKING

import numpy as np
import pytest
import shapely

from napari_pathfm.errors import OutputError
from napari_pathfm.exports import (
    QuPathObject,
    annotation_feature,
    class_color,
    object_id,
    read_geojson,
    write_geojson,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from shapely.geometry.base import BaseGeometry

WORDS = ["Tumor", "Ödem", "间质", "a: b", "π/2", "with space", "tab\there", "🧫"]


def _star(rng: np.random.Generator, centre: np.ndarray, radius: float) -> np.ndarray:
    """Give a ring around `centre` that never crosses itself."""
    count = int(rng.integers(5, 12))
    angles = (np.arange(count) + rng.uniform(0, 0.9, count)) * (2 * np.pi / count)
    radii = rng.uniform(0.5, 1, len(angles)) * radius
    return centre + np.stack([np.cos(angles), np.sin(angles)], 1) * radii[:, None]


def _polygon(rng: np.random.Generator, centre: np.ndarray) -> BaseGeometry:
    shell = shapely.Polygon(_star(rng, centre, 100))
    if rng.random() < 0.5:
        inner = shell.buffer(-10)
        spot = shapely.Point(shell.representative_point()).buffer(4, quad_segs=3)
        if inner.contains(spot):
            shell = shell.difference(spot)
    return shell if rng.random() < 0.5 else shell.reverse()


def _random_geometry(rng: np.random.Generator) -> BaseGeometry:
    centre = rng.uniform(-500, 1e5, 2)
    match rng.integers(6):
        case 0:
            return shapely.Point(centre)
        case 1:
            return shapely.MultiPoint(centre + rng.normal(0, 50, (4, 2)))
        case 2:
            return shapely.LineString(centre + rng.normal(0, 50, (5, 2)))
        case 3:
            return shapely.MultiPolygon([_polygon(rng, centre)])
        case 4:
            return shapely.MultiPolygon(
                [_polygon(rng, centre + offset) for offset in (0, 1000)]
            )
        case _:
            return _polygon(rng, centre)


def _random_object(rng: np.random.Generator) -> QuPathObject:
    def word() -> str:
        return str(rng.choice(WORDS))

    numbers = [0.0, -1.5, 1e-30, 1e30, math.nan, math.inf, -math.inf]
    classified = rng.random() < 0.6
    color = tuple(int(v) for v in rng.integers(0, 256, 3))
    return QuPathObject(
        geometry=_random_geometry(rng),
        object_type=str(rng.choice(["annotation", "detection", "tile"])),
        id=str(uuid.UUID(bytes=rng.bytes(16), version=4)),
        name=word() if rng.random() < 0.5 else None,
        classification=str(rng.choice(["Tumor", "Tumor: Positive", "Ödem"]))
        if classified
        else None,
        color=color if classified or rng.random() < 0.5 else None,
        object_color=color[::-1] if classified and rng.random() < 0.5 else None,
        measurements={word(): float(rng.choice(numbers)) for _ in range(3)},
        metadata={word(): word() for _ in range(2)},
        locked=bool(rng.random() < 0.5),
    )


def test_random_objects_come_back_as_they_left(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    rng = np.random.default_rng(2024)
    objects = [_random_object(rng) for _ in range(400)]
    path = tmp_path / "objects.geojson"
    assert write_geojson(path, (item.to_feature() for item in objects)) == 400
    check(path)
    for before, after in zip(objects, read_geojson(path), strict=True):
        assert before.geometry.is_valid
        assert after.geometry.is_valid
        assert shapely.hausdorff_distance(before.geometry, after.geometry) < 0.001
        assert before.geometry.area == pytest.approx(after.geometry.area, rel=1e-3)
        for field in (
            "object_type",
            "id",
            "name",
            "classification",
            "color",
            "object_color",
            "metadata",
            "locked",
        ):
            assert getattr(after, field) == getattr(before, field), field
        assert after.measurements.keys() == before.measurements.keys()
        for name, value in before.measurements.items():
            np.testing.assert_equal(after.measurements[name], value)


def test_holes_survive(tmp_path: Path, check: Callable[[Path], list[dict]]) -> None:
    hole = shapely.box(20, 20, 40, 40)
    ring = shapely.box(0, 0, 100, 100).difference(hole)
    path = tmp_path / "hole.geojson"
    write_geojson(path, [annotation_feature(ring)])
    (feature,) = check(path)
    assert len(feature["geometry"]["coordinates"]) == 2
    (found,) = read_geojson(path)
    assert found.geometry.area == 100 * 100 - 20 * 20
    assert not found.geometry.contains(shapely.Point(30, 30))


@pytest.mark.parametrize(
    ("points", "area"),
    [
        # A figure of eight keeps both of its lobes.
        ([(0, 0), (10, 10), (10, 0), (0, 10)], 50),
        # A lasso that goes round twice keeps what it went round twice.
        ([(0, 0), (10, 0), (10, 10), (0, 10), (0, 0), (6, 0), (6, 6), (0, 6)], 100),
    ],
)
def test_crossed_lasso_is_repaired(
    points: list[tuple[int, int]],
    area: float,
    tmp_path: Path,
    check: Callable[[Path], list[dict]],
) -> None:
    path = tmp_path / "knot.geojson"
    write_geojson(path, [annotation_feature(shapely.Polygon(points))])
    check(path)
    (found,) = read_geojson(path)
    assert found.geometry.is_valid
    assert found.geometry.area == pytest.approx(area)


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.Point(),
        shapely.Polygon([(0, 0), (5, 0), (9, 0)]),
        shapely.LineString([(1, 1), (1, 1)]),
        shapely.Point(math.inf, 0),
        shapely.GeometryCollection([shapely.Point(0, 0), shapely.box(0, 0, 1, 1)]),
    ],
    ids=["empty", "flat", "spot", "infinite", "collection"],
)
def test_geometry_that_qupath_cannot_hold(geometry: BaseGeometry) -> None:
    with pytest.raises(OutputError) as caught:
        annotation_feature(geometry)
    assert "\n" not in str(caught.value)


def test_colour_stands_where_qupath_looks_for_it() -> None:
    point = shapely.Point(1, 2)
    classified = annotation_feature(point, classification="Tumor", color=(200, 0, 0))
    assert classified["properties"]["classification"]["color"] == [200, 0, 0]
    # An object's own colour would outlive a change of its class.
    assert "color" not in classified["properties"]
    plain = annotation_feature(point, color=np.array([1, 2, 3], np.uint8))
    assert plain["properties"]["color"] == [1, 2, 3]
    json.dumps(plain)


def test_class_without_colour_gets_the_same_one_every_time() -> None:
    feature = annotation_feature(shapely.Point(1, 2), classification="Stroma")
    color = feature["properties"]["classification"]["color"]
    assert tuple(color) == class_color("Stroma") != class_color("Tumor")


@pytest.mark.parametrize("given", ["Tumor: Positive", ["Tumor", "Positive"]])
def test_derived_class(given: str | list[str]) -> None:
    feature = annotation_feature(shapely.Point(1, 2), classification=given)
    assert feature["properties"]["classification"]["names"] == ["Tumor", "Positive"]


def test_ids() -> None:
    point = shapely.Point(1, 2)
    given = uuid.uuid4()
    assert annotation_feature(point, id=given)["id"] == str(given)
    named = annotation_feature(point, id="slide-7/region-3")["id"]
    assert named == annotation_feature(point, id="slide-7/region-3")["id"]
    assert uuid.UUID(named).version == 5
    assert annotation_feature(point)["id"] != annotation_feature(point)["id"]
    # Ids in files that people have must never change.
    assert object_id("a", 1.0) == "9269160b-7fb8-5cfa-842f-5876f068f7bb"


def test_metadata_is_flat_strings() -> None:
    feature = annotation_feature(
        shapely.Point(1, 2),
        metadata={"a": {"b": 1, "c": [1, 2]}, "ok": True, "none": None, "t": "ü"},
    )
    assert feature["properties"]["metadata"] == {
        "a.b": "1",
        "a.c": "[1, 2]",
        "ok": "true",
        "t": "ü",
    }


def test_wrong_calls() -> None:
    point = shapely.Point(1, 2)
    with pytest.raises(ValueError, match="object_type"):
        annotation_feature(point, object_type="blob")
    with pytest.raises(ValueError, match="colour"):
        annotation_feature(point, color=(0.1, 300, 2))
