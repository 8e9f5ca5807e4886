"""Layers > Measure: areas, heatmaps and nearest classes in a layer's own table."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import shapely

from conftest import LANDMARK, MPP, TILE
from napari_pathfm.errors import OutputError
from napari_pathfm.exports import QuPathObject, objects_to_layers, read_geojson
from napari_pathfm.viewer._measure import measure
from napari_pathfm.viewer._metadata import layers_of

X, Y = LANDMARK


@pytest.fixture
def mapped(session):
    """The panel's heatmap, like the landmark, and its negative from a file."""
    session.prompt(session.current.world(X + 100, Y + 90))
    (layer,) = layers_of(session.viewer.layers, "heatmap")
    data, keywords, _ = deepcopy(layer.as_layer_data_tuple())
    keywords["metadata"]["napari_pathfm"]["kind"] = "map"
    session.viewer.add_image(-data, **keywords | {"name": "unlike it"})
    return session


@pytest.mark.parametrize("most", [10, 0])
def test_objects(mapped, tmp_path, most):
    found = [
        QuPathObject(
            shapely.box(X, Y, X + TILE, Y + TILE).difference(
                shapely.box(X + 10, Y + 10, X + 30, Y + 30)
            ),
            id="00000000-0000-0000-0000-000000000001",
            measurements={"own": 3.0},
        ),
        QuPathObject(
            shapely.box(X + 2 * TILE, Y, X + 3 * TILE, Y + TILE),
            object_type="tile",
            id="00000000-0000-0000-0000-000000000002",
        ),
    ]
    facts = {"fingerprint": mapped.current.fingerprint}
    for data, attributes, kind in objects_to_layers(
        found, mpp=MPP, entry=facts, most_shapes=most
    ):
        getattr(mapped.viewer, f"add_{kind}")(data, **attributes)
        layer = mapped.viewer.layers[-1]
        names = measure(layer, list(mapped.viewer.layers))
        assert names[0] == "area_um2"
        assert names[-2:] == ["nearest class", "top similarity"]
        row = layer.features.iloc[0]
        if row["id"] != found[0].id:
            continue
        assert row["area_um2"] == (TILE**2 - 400) * MPP**2
        assert row["nearest class"] == "Similarity"
        assert row["top similarity"] == pytest.approx(1, abs=1e-5)
        if layer.features.shape[0] > 2:
            # A hole is a row of its own, of the same object.
            assert row["area_um2"] == layer.features.iloc[1]["area_um2"]
        out = tmp_path / "out.geojson"
        layer.save(str(out), plugin="napari-pathfm")
        first = read_geojson(out)[0]
        assert first.measurements["own"] == 3
        assert first.measurements["area_um2"] == row["area_um2"]
        assert first.measurements["top similarity"] == row["top similarity"]


def test_drawn_shapes(mapped):
    slide = mapped.current.layer
    corners = np.array([[Y, X], [Y, X + TILE], [Y + TILE, X + TILE], [Y + TILE, X]])
    shapes = mapped.viewer.add_shapes(
        [corners - 0.5],
        scale=slide.scale,
        units=slide.units,
        features={"class": ["Tumor"]},
    )
    measure(shapes, list(mapped.viewer.layers))
    assert shapes.features["class"][0] == "Tumor"
    assert shapes.features["area_um2"][0] == pytest.approx((TILE * MPP) ** 2)
    assert shapes.feature_defaults["nearest class"][0] == ""
    stranger = mapped.viewer.layers["unlike it"]
    stranger.metadata["napari_pathfm"]["fingerprint"] = "another slide"
    with pytest.raises(OutputError, match="on which of 2 slides"):
        measure(shapes, list(mapped.viewer.layers))
    mapped.viewer.layers.remove(stranger)
    bare = mapped.viewer.add_labels(np.ones((4, 4), int), scale=slide.scale)
    bare.units = slide.units
    with pytest.raises(OutputError, match="no row for each object"):
        measure(bare, list(mapped.viewer.layers))
