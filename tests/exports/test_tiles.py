"""Tiles with measurements: of a heatmap, of a store, of anything with coordinates."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import shapely

from napari_pathfm.embeddings._create import create_store
from napari_pathfm.embeddings._store import FORMAT, VERSION
from napari_pathfm.errors import OutputError
from napari_pathfm.exports import (
    SYNTHETIC_CLASS,
    export_heatmap_geojson,
    export_store_geojson,
    read_geojson,
    synthetic_features,
    tile_features,
    tiles_feature_collection,
    write_geojson,
)
from napari_pathfm.heatmaps import Heatmap
from napari_pathfm.slides import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _heatmap(**changes: Any) -> Heatmap:
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    values[0, 0] = values[2, 1] = np.nan
    values[1, 1] = np.inf
    known: dict[str, Any] = {
        "values": values,
        "origin": (112.5, 40.0),
        "stride": 224,
        "mpp": 0.5,
        "name": "similarity",
        "provenance": {"slide_fingerprint": "abc", "like": [[1, 2]]},
    }
    return Heatmap(**known | changes)


def test_heatmap_cells_lie_where_they_belong(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    heatmap = _heatmap()
    path = tmp_path / "heatmap.geojson"
    assert export_heatmap_geojson(heatmap, path) == 10
    features = check(path)
    assert {item["properties"]["objectType"] for item in features} == {"tile"}
    covered = np.zeros((3, 4), dtype=bool)
    for tile in read_geojson(path):
        x0, y0, x1, y1 = tile.geometry.bounds
        assert (x1 - x0, y1 - y0) == (224, 224)
        # Just inside each corner the heatmap itself must agree.
        for x, y in ((x0 + 0.01, y0 + 0.01), (x1 - 0.01, y1 - 0.01)):
            assert tile.measurements == {"similarity": heatmap.at(x, y)}
        covered[int((y0 - 40) / 224), int((x0 - 112.5) / 224)] = True
    np.testing.assert_array_equal(covered, ~np.isnan(heatmap.values))


def test_second_export_keeps_the_ids(tmp_path: Path) -> None:
    first, second = tmp_path / "1.geojson", tmp_path / "2.geojson"
    heatmap = _heatmap()
    export_heatmap_geojson(heatmap, first)
    changed = heatmap.values.copy()
    changed[0, 0] = 7
    export_heatmap_geojson(_heatmap(values=changed), second)
    before = {item.geometry.bounds: item.id for item in read_geojson(first)}
    after = {item.geometry.bounds: item.id for item in read_geojson(second)}
    assert before.items() < after.items()
    other = tmp_path / "3.geojson"
    export_heatmap_geojson(_heatmap(provenance={"slide_fingerprint": "other"}), other)
    assert not set(before.values()) & {item.id for item in read_geojson(other)}


def test_empty_heatmap(tmp_path: Path, leaves_nothing: Callable[[], None]) -> None:
    empty = _heatmap(values=np.full((3, 4), np.nan, np.float32))
    with pytest.raises(OutputError, match="Nothing to export"):
        export_heatmap_geojson(empty, tmp_path / "a.geojson")
    leaves_nothing()


def test_store(tmp_path: Path, check: Callable[[Path], list[dict]]) -> None:
    cells = np.array([[0, 0], [0, 1], [1, 1]], np.int32)
    grid = TileGrid(
        coords=cells[:, ::-1] * 100 + np.int32(10),
        cells=cells,
        px=224,
        mpp=0.5,
        tile_size=112.5,
        stride=100,
        origin=(10, 10),
        shape=(2, 2),
        mask={},
    )
    attrs = {"format": FORMAT, "version": VERSION, "grid": grid.to_attrs()}
    attrs["slide_fingerprint"] = "abc"
    store = create_store(tmp_path / "slide.zarr", attrs, grid, 4, None)
    path = tmp_path / "store.geojson"
    with pytest.raises(OutputError, match="Nothing to export"):
        export_store_geojson(store, path)
    store._array("done")[:] = [True, False, True]
    assert export_store_geojson(store, path) == 2
    check(path)
    bounds = [item.geometry.bounds for item in read_geojson(path)]
    assert bounds == [(10, 10, 122.5, 122.5), (110, 110, 222.5, 222.5)]
    export_store_geojson(store, path, {"score": np.array([1, 2, 3], np.float16)})
    check(path)
    scores = [item.measurements for item in read_geojson(path)]
    assert scores == [{"score": 1.0}, {"score": 3.0}]
    with pytest.raises(ValueError, match="score"):
        export_store_geojson(store, path, {"score": [1, 2]})


def test_collection_is_what_is_written(
    tmp_path: Path, check: Callable[[Path], list[dict]]
) -> None:
    coords = np.array([[0, 0], [224, 0]], np.int32)
    collection = tiles_feature_collection(coords, 224, {"a": [1, np.nan]})
    path = tmp_path / "a.geojson"
    write_geojson(path, collection)
    assert check(path) == collection["features"]
    assert uuid.UUID(collection["features"][0]["id"]).version == 4


def test_fast_rectangles_are_those_of_shapely() -> None:
    (tile,) = tile_features([[10.25, 20]], 112.5)
    assert shapely.geometry.shape(tile["geometry"]) == shapely.box(
        10.25, 20, 122.75, 132.5
    )


@pytest.mark.parametrize(
    ("coords", "measurements"),
    [([[1, 2, 3]], {}), ([[1, 2]], {"a": [1, 2]}), ([1, 2], {})],
)
def test_arrays_that_do_not_fit(coords: Any, measurements: Any) -> None:
    with pytest.raises(ValueError, match="shape"):
        list(tile_features(coords, 224, measurements))


def test_synthetic_regions_say_so(
    tmp_path: Path, check: Callable[[Path], list[dict]], synthetic: Callable[..., Any]
) -> None:
    images = [synthetic(seed) for seed in (0, 1)]
    path = tmp_path / "synthetic.geojson"
    box = (100.5, 200.0, 112.0, 112.0)
    write_geojson(path, synthetic_features(images, box, fidelity=[0.9, 0.8]))
    check(path)
    found = read_geojson(path)
    assert [item.name for item in found] == ["Synthetic 1 of 2", "Synthetic 2 of 2"]
    for seed, item in enumerate(found):
        assert item.geometry.bounds == (100.5, 200, 212.5, 312)
        assert item.classification == SYNTHETIC_CLASS == "Synthetic"
        assert item.locked
        assert item.measurements == {
            "cosine_to_condition": 0.9,
            "fidelity": [0.9, 0.8][seed],
        }
        assert item.metadata["synthetic"] == "true"
        assert item.metadata["seed"] == str(seed)
        assert item.metadata["points"] == "[[10.5, 20.0]]"
        assert item.metadata["fidelity.cosine_to_condition"] == "0.9"
    again = list(synthetic_features(images, box))
    assert [item["id"] for item in again] == [item.id for item in found]
