"""Layers as napari hands them to writers: to the pixel, whatever their transform."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from napari_pathfm.errors import MissingMppError, OutputError, PathfmError
from napari_pathfm.exports import export_layers_geojson, layer_features, read_geojson
from napari_pathfm.exports._layer_place import layer_place

if TYPE_CHECKING:
    from collections.abc import Callable

MPP = 0.2525
UM = {"units": ("um", "um")}


def _slide_attributes(**changes: Any) -> dict[str, Any]:
    """Attributes of a layer that inherited its transform from the slide's layer."""
    return {
        "name": "Shapes",
        "scale": [MPP, MPP],
        "translate": [0.0, 0.0],
        **UM,
        "metadata": {"napari_pathfm": {"version": 1, "kind": "prompts", "mpp": MPP}},
        **changes,
    }


def _geometry(layer: tuple[Any, dict[str, Any], str], **options: Any) -> Any:
    (feature,) = layer_features(layer, **options)
    return shapely.geometry.shape(feature["geometry"])


def _pixels(region: Any, width: int, height: int) -> np.ndarray:
    """Paint a region as QuPath would: a pixel is in where its centre is."""
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    return shapely.contains_xy(region, x, y)


# A landmark: columns 10 to 14 and rows 20 to 22 of the slide, drawn along its borders.
LANDMARK = np.zeros((40, 50), dtype=bool)
LANDMARK[20:23, 10:15] = True
# The same borders for napari, whose pixel centres have whole coordinates.
BORDERS = np.array([[19.5, 9.5], [19.5, 14.5], [22.5, 14.5], [22.5, 9.5]])


@pytest.mark.parametrize("kind", ["rectangle", "polygon"])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        # Its own scale and place: the data are what lies there in this layer.
        {"scale": [1.0, 1.0]},
        {"scale": [3 * MPP, 2 * MPP], "translate": [4.0, -7.0]},
        {"units": ("mm", "mm"), "scale": [MPP * 1e-3] * 2},
        {"units": "pixel", "scale": [1.0, 1.0]},
        {"units": None, "scale": [4.0, 4.0], "translate": [1.5, 1.5]},
    ],
    ids=["slide's", "micrometres", "own", "millimetres", "pixel", "pixel by 4"],
)
def test_landmark_to_the_pixel(kind: str, changes: dict[str, Any]) -> None:
    attributes = _slide_attributes(shape_type=[kind], **changes)
    per_unit = {"mm": 1e3, "um": 1.0}.get((attributes["units"] or "pixel")[0])
    world = BORDERS if per_unit is None else BORDERS * MPP / per_unit
    scale = np.array(attributes["scale"])
    data = (world - attributes["translate"]) / scale
    region = _geometry(([data], attributes, "shapes"))
    assert region.bounds == pytest.approx((10, 20, 15, 23), abs=1e-4)
    np.testing.assert_array_equal(_pixels(region.buffer(1e-3), 50, 40), LANDMARK)


def test_rectangle_of_two_corners() -> None:
    attributes = _slide_attributes(shape_type="rectangle")
    region = _geometry(([BORDERS[[0, 2]]], attributes, "shapes"))
    assert region.bounds == pytest.approx((10, 20, 15, 23))
    assert region.area == pytest.approx(15)


@pytest.mark.parametrize(
    "vertices",
    [
        [[0, 0], [0, 40], [20, 40], [20, 0]],
        # Short for: this centre, these radii.
        [[10, 20], [10, 20]],
    ],
)
def test_ellipse(vertices: list[list[int]]) -> None:
    attributes = _slide_attributes(shape_type=["ellipse"])
    (feature,) = layer_features(([np.array(vertices)], attributes, "shapes"))
    geometry = feature["geometry"]
    # QuPath makes the true ellipse from the bounding box of what is marked so.
    assert geometry["isEllipse"] is True
    region = shapely.geometry.shape(geometry)
    assert region.bounds == pytest.approx((0.5, 0.5, 40.5, 20.5), abs=1e-4)
    assert region.area == pytest.approx(np.pi * 20 * 10, rel=1e-3)
    assert len(geometry["coordinates"][0]) > 64


def test_turned_ellipse_is_a_polygon() -> None:
    box = np.array([[0, 0], [0, 40], [20, 40], [20, 0]])
    attributes = _slide_attributes(shape_type=["ellipse"], rotate=30)
    (feature,) = layer_features(([box], attributes, "shapes"))
    assert "isEllipse" not in feature["geometry"]
    region = shapely.geometry.shape(feature["geometry"])
    assert region.area == pytest.approx(np.pi * 20 * 10, rel=1e-3)


@pytest.mark.parametrize("kind", ["path", "line"])
def test_lines(kind: str) -> None:
    attributes = _slide_attributes(shape_type=[kind])
    line = _geometry(([np.array([[0, 0], [3, 4]])], attributes, "shapes"))
    assert list(line.coords) == [(0.5, 0.5), (4.5, 3.5)]


def test_points_are_prompts(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    attributes = _slide_attributes(
        name="Prompts",
        features={
            "role": ["like", "unlike", ""],
            "score": [0.5, np.nan, 1],
            "all missing": [np.nan] * 3,
        },
    )
    layer = (np.array([[0, 0], [2, 3], [5.5, 6]]), attributes, "points")
    path = tmp_path / "prompts.geojson"
    assert export_layers_geojson([layer], path) == 3
    check(path)
    found = read_geojson(path)
    assert [item.geometry.coords[0] for item in found] == [
        (0.5, 0.5),
        (3.5, 2.5),
        (6.5, 6.0),
    ]
    assert [item.classification for item in found] == ["like", "unlike", None]
    assert found[0].measurements == {"score": 0.5}
    assert found[0].metadata == {"layer": "Prompts", "kind": "prompts"}


def test_features_table(tmp_path: Path, check: Callable[[Path], list[dict]]) -> None:
    pandas = pytest.importorskip("pandas")
    name = "5e0c5c16-6f9c-4e43-9b52-5b3a6f6f7d11"
    table = pandas.DataFrame(
        {
            "class": ["Tumor: Positive", None],
            "name": ["first", float("nan")],
            "id": [name, pandas.NA],
            "cells": [3, 4],
            "seen by": ["Ödön", pandas.NA],
        }
    )
    attributes = _slide_attributes(shape_type=["polygon"] * 2, features=table)
    layer = ([BORDERS, BORDERS + 100], attributes, "shapes")
    path = tmp_path / "shapes.geojson"
    export_layers_geojson([layer], path)
    check(path)
    first, second = read_geojson(path)
    assert (first.classification, first.name) == ("Tumor: Positive", "first")
    assert first.id == name
    assert first.measurements == {"cells": 3}
    assert first.metadata["seen by"] == "Ödön"
    assert (second.classification, second.name) == (None, None)
    assert second.measurements == {"cells": 4}
    assert "seen by" not in second.metadata


def test_labels_along_pixel_borders(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    rng = np.random.default_rng(5)
    labels = np.zeros((30, 40), np.uint16)
    labels[4:20, 5:30] = 7
    labels[8:12, 10:20] = 0  # a hole
    labels[25, 3], labels[26, 4] = 300, 300  # two parts that touch at a corner
    labels[0:3] = rng.integers(0, 3, (3, 40))  # ragged, up to the edge
    attributes = _slide_attributes(
        name="Regions", features={"index": [0, 7, 300], "class": ["", "Tumor", "x"]}
    )
    path = tmp_path / "labels.geojson"
    export_layers_geojson([(labels, attributes, "labels")], path)
    check(path)
    found = {item.name: item for item in read_geojson(path)}
    assert set(found) == {"Regions 1", "Regions 2", "Regions 7", "Regions 300"}
    for name, item in found.items():
        value = int(name.split()[1])
        np.testing.assert_array_equal(_pixels(item.geometry, 40, 30), labels == value)
        assert item.geometry.area == (labels == value).sum()
    assert found["Regions 7"].classification == "Tumor"
    assert found["Regions 1"].classification is None


def test_labels_of_a_coarse_grid_cover_their_tiles() -> None:
    from napari_pathfm.slides import grid_transform

    scale, translate = grid_transform((112, 40), 224, MPP)
    attributes = _slide_attributes(scale=scale, translate=translate)
    labels = np.array([[0, 1], [0, 0]])
    region = _geometry((labels, attributes, "labels"))
    assert region.bounds == pytest.approx((336, 40, 560, 264), abs=1e-3)


def _ids(*layers: Any) -> list[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "out.geojson"
        export_layers_geojson(layers, path)
        return [str(found.id) for found in read_geojson(path)]


def _areas(labels: Any, **changes: Any) -> Any:
    ours = {"version": 1, "kind": "classes", "mpp": MPP, "fingerprint": "ab12"}
    ours |= {"classes": {"Tumor": [200, 0, 0], "Stroma": [150, 200, 150]}} | changes
    attributes = _slide_attributes(name="Areas", metadata={"napari_pathfm": ours})
    return labels, attributes, "labels"


def test_areas_of_classes_are_the_same_objects_in_every_export(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:6, 2:6], labels[10:15, 10:15], labels[18, 18] = 1, 2, 3
    layer = _areas(labels)
    path = tmp_path / "areas.geojson"
    export_layers_geojson([layer], path)
    found = read_geojson(path)
    told = [(item.classification, item.color, item.name) for item in found]
    assert told == [
        ("Tumor", (200, 0, 0), None),
        ("Stroma", (150, 200, 150), None),
        (None, None, "Areas 3"),
    ]
    ids = [item.id for item in found]
    assert len(set(ids)) == 3
    assert _ids(layer) == ids
    # A border that moves, a new name, another number or colour: the same area.
    edited = labels.copy()
    edited[6, 2:6] = 1
    assert _ids(_areas(edited)) == ids
    layer[1]["name"] = "mine"
    assert _ids(layer) == ids
    turned = np.array([0, 2, 1, 3], np.uint8)[labels]
    others = {"Stroma": [1, 2, 3], "Tumor": [4, 5, 6]}
    assert _ids(_areas(turned, classes=others)) == [ids[1], ids[0], ids[2]]
    # Another class, slide, or layer of the slide: another object.
    renamed = {"Cancer": [200, 0, 0], "Stroma": [150, 200, 150]}
    first, *rest = _ids(_areas(labels, classes=renamed))
    assert first not in ids
    assert rest == ids[1:]
    assert not set(ids) & set(_ids(_areas(labels, fingerprint="cd34")))
    assert not set(ids) & set(_ids(_areas(labels, kind="labels")))
    # A copy beside it does not take its ids away, and has its own for good.
    both = _ids(_areas(labels), _areas(edited))
    assert both[:3] == ids
    assert len(set(both)) == 6
    assert _ids(_areas(labels), _areas(labels)) == both


def test_what_no_slide_is_known_of_goes_by_its_outline() -> None:
    labels = np.zeros((20, 20), np.uint8)
    labels[2:6, 2:6] = 1
    unknown = _areas(labels, fingerprint=None)
    assert _ids(unknown) == _ids(unknown)
    edited = labels.copy()
    edited[6, 2:6] = 1
    assert _ids(unknown) != _ids(_areas(edited, fingerprint=None))
    drawn = ([BORDERS, BORDERS + 50, BORDERS], _slide_attributes(), "shapes")
    first, second, third = _ids(drawn)
    assert len({first, second, third}) == 3
    assert _ids(drawn) == [first, second, third]
    # One that is moved or deleted does not change the others'.
    assert _ids((drawn[0][1:], drawn[1], "shapes")) == [second, first]
    moved = ([BORDERS + 1, BORDERS + 50], drawn[1], "shapes")
    assert _ids(moved)[1] == second
    points = (np.array([[1.0, 2.0], [3.0, 4.0]]), _slide_attributes(), "points")
    assert _ids(points) == _ids(points)


def test_mpp_is_never_guessed() -> None:
    attributes = _slide_attributes(shape_type=["polygon"], metadata={})
    layer = ([BORDERS], attributes, "shapes")
    with pytest.raises(MissingMppError, match="Shapes"):
        list(layer_features(layer))
    assert _geometry(layer, mpp=MPP).bounds == pytest.approx((10, 20, 15, 23))
    # What is told goes before what the layer says.
    known = _slide_attributes(shape_type=["polygon"])
    half = _geometry(([BORDERS], known, "shapes"), mpp=2 * MPP)
    assert half.bounds[2] - half.bounds[0] == pytest.approx(2.5)
    for wrong in (0, -1, float("nan"), "0.5"):
        ours = {"napari_pathfm": {"mpp": wrong}}
        with pytest.raises(MissingMppError):
            list(
                layer_features(([BORDERS], {**attributes, "metadata": ours}, "shapes"))
            )


def test_drawn_shapes_learn_the_pixel_size_from_the_slide(tmp_path: Path) -> None:
    drawn = _slide_attributes(shape_type=["polygon"], metadata={})
    slide = (np.zeros((2, 2, 3), np.uint8), _slide_attributes(name="slide"), "image")
    other = _slide_attributes(metadata={"napari_pathfm": {"mpp": 2 * MPP}})
    path = tmp_path / "a.geojson"
    assert export_layers_geojson([slide, ([BORDERS], drawn, "shapes")], path) == 1
    assert read_geojson(path)[0].geometry.bounds == pytest.approx((10, 20, 15, 23))
    # Two slides that differ: whose it is cannot be known.
    second = (np.zeros((2, 2, 3), np.uint8), other, "image")
    with pytest.raises(MissingMppError):
        export_layers_geojson([slide, second, ([BORDERS], drawn, "shapes")], path)


@pytest.mark.parametrize("units", ["second", ("um", "pixel"), ("second", "second")])
def test_units_that_are_no_length(units: Any) -> None:
    attributes = _slide_attributes(shape_type=["polygon"], units=units)
    with pytest.raises(PathfmError, match="Shapes"):
        list(layer_features(([BORDERS], attributes, "shapes")))


def test_pixels_and_micrometres_do_not_mix(
    tmp_path: Path, leaves_nothing: Callable[[], None]
) -> None:
    drawn = ([BORDERS], {"name": "stray", "shape_type": ["polygon"]}, "shapes")
    slide = (np.zeros((2, 2, 3), np.uint8), _slide_attributes(name="slide"), "image")
    with pytest.raises(PathfmError, match="'stray' is in pixels"):
        export_layers_geojson([slide, drawn], tmp_path / "a.geojson")
    leaves_nothing()


def test_objects_without_extent_are_named(
    tmp_path: Path, leaves_nothing: Callable[[], None]
) -> None:
    attributes = _slide_attributes(shape_type=["polygon"] * 2)
    spot = np.repeat(BORDERS[:1], 4, axis=0)
    with pytest.raises(OutputError, match="'Shapes', object 1"):
        export_layers_geojson(
            [([BORDERS, spot], attributes, "shapes")], tmp_path / "a.geojson"
        )
    leaves_nothing()


def test_layers_that_hold_nothing(
    tmp_path: Path, leaves_nothing: Callable[[], None]
) -> None:
    slide = (np.zeros((2, 2, 3), np.uint8), _slide_attributes(name="slide"), "image")
    empty = ([], _slide_attributes(shape_type=[]), "shapes")
    blank = (np.empty((0, 2)), _slide_attributes(), "points")
    zero = (np.zeros((4, 4), int), _slide_attributes(), "labels")
    path = tmp_path / "a.geojson"
    with pytest.raises(OutputError, match="Nothing to export"):
        export_layers_geojson([slide, empty, blank, zero], path)
    with pytest.raises(OutputError, match="surface"):
        export_layers_geojson([(None, _slide_attributes(), "surface")], path)
    stack = (np.zeros((2, 4, 4), int), _slide_attributes(), "labels")
    with pytest.raises(OutputError, match="not one plane"):
        export_layers_geojson([stack], path)
    leaves_nothing()


@pytest.mark.napari
@pytest.mark.parametrize("ndim", [2, 3])
def test_transforms_are_those_of_napari(ndim: int) -> None:
    """Every part of a transform, composed as napari itself composes it."""
    layers = pytest.importorskip("napari.layers")
    rng = np.random.default_rng(11)
    points = rng.uniform(-1000, 1000, (20, ndim))
    matrix = np.eye(ndim + 1)
    matrix[-3:-1, -3:-1] = [[0.9, -0.2], [0.3, 1.1]]
    matrix[-3:-1, -1] = [30, -40]
    chosen = {
        "scale": rng.uniform(0.2, 3, ndim),
        "translate": rng.uniform(-500, 500, ndim),
        "rotate": 25.0,
        "shear": rng.uniform(-0.4, 0.4, ndim * (ndim - 1) // 2),
        "affine": matrix,
    }
    for names in ([], ["scale"], ["rotate", "scale"], list(chosen)):
        given = {name: chosen[name] for name in names}
        layer = layers.Points(points, units=("um",) * ndim, **given)
        data, attributes, _ = layer.as_layer_data_tuple()
        world = np.array([layer.data_to_world(point) for point in points])[:, -2:]
        # Centre to corner, micrometres to pixels: written out here on purpose.
        expected = world[:, ::-1] / MPP + 0.5
        for source in (attributes, {"units": "um", **given}):
            place = layer_place(source, ndim, mpp=MPP)
            np.testing.assert_allclose(place.level0(data), expected, atol=1e-2)


@pytest.mark.napari
def test_shapes_as_napari_hands_them_over() -> None:
    layers = pytest.importorskip("napari.layers")
    layer = layers.Shapes(
        [BORDERS, BORDERS[[0, 2]], [[10, 20], [3, 5]], BORDERS[:3], BORDERS[:2]],
        shape_type=["polygon", "rectangle", "ellipse", "path", "line"],
        scale=(MPP, MPP),
        units=("um", "um"),
        features={"class": ["a", "b", "c", "d", "e"]},
    )
    found = list(layer_features(layer.as_layer_data_tuple(), mpp=MPP))
    shapes = [shapely.geometry.shape(item["geometry"]) for item in found]
    assert [item.geom_type for item in shapes] == ["Polygon"] * 3 + ["LineString"] * 2
    for region in shapes[:2]:
        assert region.bounds == pytest.approx((10, 20, 15, 23), abs=1e-4)
    assert shapes[2].bounds == pytest.approx((15.5, 7.5, 25.5, 13.5), abs=1e-4)
    classes = [item["properties"]["classification"]["name"] for item in found]
    assert classes == ["a", "b", "c", "d", "e"]
