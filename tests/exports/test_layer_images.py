"""Heatmap and synthetic layers, as this program itself makes them, leave as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_pathfm.errors import MissingMppError, OutputError
from napari_pathfm.exports import (
    export_heatmap_geojson,
    export_heatmap_ome_tiff,
    export_layer_png,
    export_layers_geojson,
    heatmap_from_layer,
    read_geojson,
    read_provenance,
    synthetic_from_layer,
)
from napari_pathfm.heatmaps import Heatmap
from napari_pathfm.synthesis._vary import Variation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _heatmap() -> Heatmap:
    values = np.random.default_rng(0).random((6, 9)).astype(np.float32)
    values[2:4, 3] = np.nan
    return Heatmap(
        values=values,
        origin=(112.5, 40.0),
        stride=224,
        mpp=0.2525,
        name="similarity",
        limits=(0.2, 0.9),
        provenance={"slide_fingerprint": "abc", "like": [[1, 2]]},
    )


def _variation(synthetic: Callable[..., Any], n: int = 3) -> Variation:
    images = [synthetic(seed, side=28) for seed in range(n)]
    source = np.zeros((28, 28, 3), np.uint8)
    return Variation(images, (100.5, 200.0, 56.0, 56.0), source, 0.25, "a.svs", "abc")


def test_heatmap_layer_is_the_heatmap_again(tmp_path: Path) -> None:
    heatmap = _heatmap()
    again = heatmap_from_layer(heatmap.to_layer())
    np.testing.assert_array_equal(again.values, heatmap.values)
    for field in ("origin", "stride", "mpp", "name", "limits", "provenance"):
        assert getattr(again, field) == getattr(heatmap, field), field
    path = tmp_path / "a.ome.tif"
    export_heatmap_ome_tiff(again, path)
    np.testing.assert_array_equal(tifffile.imread(path), heatmap.values)


def test_heatmap_layer_and_heatmap_are_the_same_tiles(tmp_path: Path) -> None:
    heatmap = _heatmap()
    direct, saved = tmp_path / "direct.geojson", tmp_path / "saved.geojson"
    export_heatmap_geojson(heatmap, direct)
    export_layers_geojson([heatmap.to_layer()], saved)
    assert read_geojson(direct) == read_geojson(saved)


def test_heatmap_layer_without_pixel_size() -> None:
    values, attributes, kind = _heatmap().to_layer()
    bare = {**attributes, "metadata": {}}
    with pytest.raises(MissingMppError, match="similarity"):
        heatmap_from_layer((values, bare, kind))
    assert heatmap_from_layer((values, bare, kind), mpp=0.2525).stride == 224
    pixel = {"name": "x", "scale": (4, 4), "translate": (1.5, 1.5)}
    with pytest.raises(MissingMppError, match="pixel size"):
        heatmap_from_layer((values, pixel, kind))
    found = heatmap_from_layer((values, pixel, kind), mpp=0.5)
    assert (found.origin, found.stride, found.mpp) == ((0, 0), 4, 0.5)


@pytest.mark.parametrize(
    "changes", [{"rotate": 3}, {"scale": (1, 2)}, {"shear": [0.1]}, {"scale": (-1, -1)}]
)
def test_only_upright_heatmaps_leave(changes: dict[str, Any]) -> None:
    values, attributes, kind = _heatmap().to_layer()
    with pytest.raises(OutputError, match="upright"):
        heatmap_from_layer((values, attributes | changes, kind))


def test_pictures_are_no_heatmaps() -> None:
    _, attributes, kind = _heatmap().to_layer()
    for data in (np.zeros((3, 4, 4)), np.zeros((4, 4), complex)):
        with pytest.raises(OutputError, match="is no heatmap"):
            heatmap_from_layer((data, attributes, kind))


def test_synthetic_layer_as_regions(
    tmp_path: Path,
    synthetic: Callable[..., Any],
    check: Callable[[Path], list[dict]],
) -> None:
    variation = _variation(synthetic)
    path = tmp_path / "synthetic.geojson"
    assert export_layers_geojson([variation.to_layer()], path) == 3
    check(path)
    for seed, item in enumerate(read_geojson(path)):
        assert item.geometry.bounds == (100.5, 200, 156.5, 256)
        assert item.classification == "Synthetic"
        assert item.metadata["synthetic"] == "true"
        assert item.metadata["seed"] == str(seed)


def test_synthetic_layer_as_png(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    variation = _variation(synthetic)
    files = export_layer_png(variation.to_layer(), tmp_path / "tile.png")
    assert [file.name for file in files] == ["tile-1.png", "tile-2.png", "tile-3.png"]
    for file, image in zip(files, variation.images, strict=True):
        with Image.open(file) as picture:
            np.testing.assert_array_equal(np.asarray(picture), image.pixels)
        assert read_provenance(file) == image.provenance
    # One image alone, without its slider, keeps the name that was asked for.
    data, attributes, kind = _variation(synthetic, n=1).to_layer()
    for pixels in (data, data[0]):
        layer = (pixels, attributes, kind)
        assert export_layer_png(layer, tmp_path / "one.png") == [tmp_path / "one.png"]


def test_synthetic_pixels_never_leave_without_provenance(
    tmp_path: Path, synthetic: Callable[..., Any], leaves_nothing: Callable[[], None]
) -> None:
    data, attributes, kind = _variation(synthetic).to_layer()
    ours = attributes["metadata"]["napari_pathfm"]
    entries = ours["provenance"]
    for given in (None, [], entries[:2], [{}, {}, {}], [*entries[:2], {"seed": 1}]):
        metadata = {"napari_pathfm": {**ours, "provenance": given}}
        layer = (data, attributes | {"metadata": metadata}, kind)
        with pytest.raises(OutputError, match="provenance"):
            synthetic_from_layer(layer)
        with pytest.raises(OutputError, match="provenance"):
            export_layers_geojson([layer], tmp_path / "a.geojson")
        with pytest.raises(OutputError, match="provenance"):
            export_layer_png(layer, tmp_path / "a.png")
    with pytest.raises(OutputError, match="RGB"):
        synthetic_from_layer((data[..., 0], attributes, kind))
    leaves_nothing()
