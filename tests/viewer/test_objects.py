"""QuPath objects in the real window: in their place, edited by hand, and back."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace

import numpy as np
import pytest
import shapely
import zarr
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from conftest import LANDMARK, TILE
from napari_pathfm.exports import (
    QuPathObject,
    QuPathObjects,
    read_geojson,
    write_objects,
)
from napari_pathfm.viewer._metadata import layers_of

PLUGIN = "napari-pathfm"
X, Y = LANDMARK


def _id(number: int) -> str:
    return str(uuid.UUID(int=number))


@pytest.fixture
def objects() -> QuPathObjects:
    square = shapely.box(X, Y, X + TILE, Y + TILE)
    found = QuPathObjects(
        [
            QuPathObject(
                square, id=_id(1), classification="Landmark", color=(255, 200, 0),
                name="the landmark", locked=True, metadata={"seen by": "Ödön"},
                measurements={"score": 0.5, "none": float("nan")}, extra={"plane": 1},
            ),
            QuPathObject(
                shapely.box(300, 300, 900, 600) - shapely.box(400, 350, 700, 500),
                id=_id(2), classification="Tumor: Positive", color=(200, 0, 0),
            ),
            QuPathObject(
                shapely.MultiPoint([(350.25, 320.5), (500, 550)]), id=_id(3),
                classification="Tumor: Positive", color=(200, 0, 0), parent=1,
                object_type="detection",
            ),
            QuPathObject(shapely.LineString([(20, 20), (1400, 1200)]), id=_id(4)),
        ]
    )  # fmt: skip
    found.members = {"source": "elsewhere"}
    return found


@pytest.fixture
def path(tmp_path, objects):
    file = tmp_path / "annotations.geojson"
    write_objects(file, objects)
    return file


def _back(viewer, tmp_path) -> dict[str | None, QuPathObject]:
    out = tmp_path / "out.geojson.gz"
    assert viewer.layers.save(str(out), plugin=PLUGIN) == [str(out)]
    return {found.id: found for found in read_geojson(out)}


def test_objects_lie_on_the_slide_and_come_back(window, path, objects, tmp_path):
    viewer = window.viewer
    viewer.open(str(path), plugin=PLUGIN)
    window.settle()
    made = layers_of(viewer.layers, "objects")
    assert [layer.name for layer in made] == [
        "annotations: Landmark",
        "annotations: Tumor: Positive",
        "annotations: no class",
        "annotations: Tumor: Positive [1]",
    ]
    # The outline is where the landmark's dark pixels begin.
    picture = window.picture()
    across, down = window.to_canvas(X, Y + TILE / 2)
    row = picture[round(down), round(across) - 6 : round(across) + 6].astype(int)
    yellow = (row[:, 0] > 180) & (row[:, 1] > 150) & (row[:, 2] < 100)
    assert yellow.any()
    assert np.abs(np.nonzero(yellow)[0].mean() - 6) <= 2
    # Hidden with its class.
    made[0].visible = False
    again = window.picture()
    row = again[round(down), round(across) - 6 : round(across) + 6].astype(int)
    assert not ((row[:, 0] > 180) & (row[:, 1] > 150) & (row[:, 2] < 100)).any()
    found = _back(viewer, tmp_path)
    assert len(found) == 4
    before = read_geojson(path)
    for item in before:
        other = replace(found[item.id], parent=item.parent)
        assert repr(other) == repr(item)
    assert found[_id(3)].parent is not None


def test_edits_go_back_under_the_same_ids(window, path, tmp_path):
    viewer = window.viewer
    viewer.open(str(path), plugin=PLUGIN)
    landmark, tumor = layers_of(viewer.layers, "objects")[:2]
    # A vertex moved, a class changed in the table, a shape drawn by hand.
    vertices = [np.array(shape) for shape in tumor.data]
    vertices[1] -= 10
    tumor.data = vertices
    landmark.features.loc[0, "class"] = "Other"
    tumor.selected_data = {0}
    viewer.layers.selection.active = landmark
    landmark.mode = "add_rectangle"
    window.drag((600, 800), (800, 900))
    landmark.mode = "pan_zoom"
    assert len(landmark.data) == 2
    found = _back(viewer, tmp_path)
    assert found.keys() >= {_id(1), _id(2), _id(3), _id(4)}
    assert found[_id(1)].classification == "Other"
    assert found[_id(1)].locked is True
    assert found[_id(1)].measurements["score"] == 0.5
    (hole,) = found[_id(2)].geometry.interiors
    assert hole.bounds == pytest.approx((390, 340, 690, 490), abs=0.01)
    (drawn,) = [item for item in found.values() if item.id not in map(_id, range(5))]
    assert drawn.classification == "Landmark"
    assert drawn.locked is False
    # Where the drag began; napari follows it as far as it finds time.
    left, top, right, bottom = drawn.geometry.bounds
    assert (left, top) == pytest.approx((600, 800), abs=3)
    assert 20 < right - left < 203
    assert 10 < bottom - top < 103


def test_many_become_labels(session, tmp_path, monkeypatch):
    monkeypatch.setattr("napari.current_viewer", lambda: session.viewer)
    objects = [
        QuPathObject(
            shapely.Point(20 + 19 * (n % 80), 20 + 19 * (n // 80)).buffer(7, 6),
            object_type="cell", id=_id(n + 1), classification="AB"[n % 2],
            color=(n % 2 * 200, 90, 90),
        )
        for n in range(5200)
    ]  # fmt: skip
    path = tmp_path / "cells.geojson"
    write_objects(path, objects)
    viewer = session.viewer
    made = viewer.open(str(path), plugin=PLUGIN)
    assert [type(layer).__name__ for layer in made] == ["Labels"] * 2
    first = layers_of(viewer.layers, "objects")[0]
    assert first.features["class"].iloc[0] == "A"
    world = session.current.world(20 + 19 * 2, 20)
    assert first.get_value(world, world=True) == 2
    data = first.data.copy()
    data[data == 1] = 0
    first.data = data
    found = _back(viewer, tmp_path)
    assert _id(1) not in found
    assert len(found) == 5199
    assert found[_id(2)].geometry.equals(read_geojson(path)[1].geometry)


def test_a_wsidata_folder_lies_on_the_slide(window, tmp_path):
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    attributes = {"spatialdata_attrs": {"version": "0.2"}}
    root = zarr.open_group(tmp_path / "s.zarr", mode="w", attributes=attributes)
    group = root.create_group("shapes/tissues")
    group.attrs["coordinateTransformations"] = [{"type": "identity"}]
    square = shapely.box(X, Y, X + TILE, Y + TILE)
    table = arrow.table({"tissue_id": [0], "geometry": [square.wkb]})
    parquet.write_table(table, tmp_path / "s.zarr/shapes/tissues/shapes.parquet")
    window.viewer.open(str(tmp_path / "s.zarr"), plugin=PLUGIN)
    (layer,) = layers_of(window.viewer.layers, "objects")
    assert layer.name == "s: tissues"
    (found,) = _back(window.viewer, tmp_path).values()
    assert found.geometry.bounds == pytest.approx(square.bounds, abs=0.01)


def test_without_a_slide_in_pixels_and_told(path, monkeypatch):
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    notification_manager.records.clear()
    viewer = ViewerModel()
    made = viewer.open(str(path), plugin=PLUGIN)
    assert {str(layer.units[0]) for layer in made} == {"pixel"}
    assert "no slide is open" in notification_manager.records[-1].message


def test_what_is_told(window, path, tmp_path):
    notification_manager.records.clear()
    far = tmp_path / "far.geojson"
    write_objects(far, [QuPathObject(shapely.box(9000, 9000, 9100, 9100))])
    window.viewer.open(str(far), plugin=PLUGIN)
    assert "1 of 1 objects lie outside" in notification_manager.records[-1].message
    bad = tmp_path / "bad.geojson"
    bad.write_text(json.dumps({"type": "FeatureCollection"}))
    assert window.viewer.open(str(bad), plugin=PLUGIN) == []
    record = notification_manager.records[-1]
    assert str(record.severity) == "error"
    assert "\n" not in record.message
    bow = tmp_path / "bow.geojson"
    ring = [[0, 0], [80, 80], [80, 0], [0, 80], [0, 0]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    bow.write_text(json.dumps([feature] * 5))
    window.viewer.open(str(bow), plugin=PLUGIN)
    told = [record.message for record in notification_manager.records[-4:]]
    assert "crosses or touches itself" in told[0]
    assert "2 more objects" in told[-1]
