"""Similarity: the right figures, in the right place."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import OutsideSlideError, StoreError
from napari_pathfm.exports import read_geojson
from napari_pathfm.heatmaps import Heatmap, on_grid, similarity
from napari_pathfm.slides import open_slide, tile_grid


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("s") / "s.zarr")


def centre(store, row):
    x, y = store.coords[row] + store.grid.tile_size / 2
    return float(x), float(y)


def test_values_are_cosines(store):
    heatmap = similarity(store, [centre(store, 3)])
    features = store.features.astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    for row in range(len(unit)):
        wanted = unit[row] @ unit[3]
        assert heatmap.at(*centre(store, row)) == pytest.approx(wanted, abs=1e-4)
    assert heatmap.at(*centre(store, 3)) == pytest.approx(1, abs=1e-4)


def test_unlike_is_subtracted_and_several_points_are_averaged(store):
    features = store.features.astype(np.float64)
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    mean = unit[[1, 2]].mean(0)
    wanted = unit @ (mean / np.linalg.norm(mean)) - unit @ unit[5]
    heatmap = similarity(
        store, [centre(store, 1), centre(store, 2)], [centre(store, 5)]
    )
    got = [heatmap.at(*centre(store, row)) for row in range(len(unit))]
    np.testing.assert_allclose(got, wanted, atol=1e-4)


def test_cells_without_tissue_are_nan(store):
    heatmap = similarity(store, [centre(store, 0)])
    assert (~np.isnan(heatmap.values)).sum() == len(store.coords)


def test_a_cell_lies_on_its_tile(slide):
    """Centre of each cell is the centre of its tile, whatever the stride."""
    for stride in (224, 112, 300):
        grid = tile_grid(slide, stride=stride)
        values = np.arange(len(grid), dtype=np.float32)
        cells, origin, _ = on_grid(grid, values)
        heatmap = Heatmap(cells, origin, grid.stride, slide.mpp)
        for row, (x, y) in enumerate(grid.coords + grid.tile_size / 2):
            assert heatmap.at(x, y) == row
        centres = heatmap.centres()[grid.cells[:, 0], grid.cells[:, 1]]
        np.testing.assert_allclose(centres, grid.coords + grid.tile_size / 2)


def test_layer_transform_places_the_first_cell(store):
    heatmap = similarity(store, [centre(store, 0)])
    values, keywords, kind = heatmap.to_layer()
    assert kind == "image"
    assert values is heatmap.values
    row, column = store.cells[0]
    scale, translate = np.array(keywords["scale"]), np.array(keywords["translate"])
    world = np.array([row, column]) * scale + translate
    x, y = centre(store, 0)
    np.testing.assert_allclose(world, (np.array([y, x]) - 0.5) * heatmap.mpp)
    assert keywords["units"] == ("um", "um")


def test_points_off_tissue_and_off_slide_are_refused(store):
    with pytest.raises(OutsideSlideError, match="-5"):
        similarity(store, [(-5, 10)])
    with pytest.raises(OutsideSlideError, match="outside the"):
        similarity(store, [centre(store, 0)]).at(1e9, 0)
    with pytest.raises(StoreError, match="at least one point"):
        similarity(store, [])


def test_epidermis_lights_up_more_than_dermis(cmu_slide_path, encoder, tmp_path):
    """The regions were drawn by hand on the slide; neither was used in training."""
    regions = read_geojson(_regions())
    shapes = {
        name: shapely.union_all(
            [r.geometry for r in regions if r.classification == name]
        )
        for name in ("Epidermis", "Dermis")
    }
    with open_slide(cmu_slide_path) as slide:
        grid = tile_grid(slide, stride=112)
        store = embed_slide(slide, encoder, tmp_path / "cmu.zarr", grid=grid)
    means = {}
    for clicked, point in {"Epidermis": (1200, 1900), "Dermis": (1550, 2300)}.items():
        heatmap = similarity(store, [point])
        x, y = np.moveaxis(heatmap.centres(), -1, 0)
        for name, shape in shapes.items():
            inside = shapely.contains_xy(shape, x, y) & ~np.isnan(heatmap.values)
            assert inside.sum() >= 25
            means[clicked, name] = float(heatmap.values[inside].mean())
    print({f"{a} click, {b}": round(v, 3) for (a, b), v in means.items()})
    assert means["Epidermis", "Epidermis"] > means["Epidermis", "Dermis"] + 0.4
    assert means["Dermis", "Dermis"] > means["Dermis", "Epidermis"] + 0.4


def _regions():
    from pathlib import Path

    return Path(__file__).parent.parent / "data" / "cmu_regions.geojson"
