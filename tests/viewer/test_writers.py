"""File > Save: what our layers become, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from PIL import Image

from conftest import LANDMARK, MPP, TILE
from napari_pathfm.errors import OutputError
from napari_pathfm.exports import (
    read_geojson,
    read_heatmaps,
    read_pixels,
    read_provenance,
)
from napari_pathfm.viewer._metadata import entry, kind_of, layers_of

PLUGIN = "napari-pathfm"


@pytest.fixture
def full(session):
    """A session with a heatmap, prompts and two synthetic images."""
    world = session.current.world(LANDMARK[0] + 100, LANDMARK[1] + 90)
    session.prompt(world)
    session.prompt(session.current.world(4.5 * TILE, 2.5 * TILE), "unlike")
    session.synthesis.n, session.synthesis.steps = 2, 1
    session.synthesis.generate()
    return session


def ours(session, kind):
    return layers_of(session.viewer.layers, kind)[0]


def test_heatmap_as_ome_tiff(full, tmp_path):
    path = tmp_path / "map.ome.tif"
    assert ours(full, "heatmap").save(str(path), plugin=PLUGIN) == [str(path)]
    with tifffile.TiffFile(path) as tif:
        np.testing.assert_array_equal(tif.asarray(), ours(full, "heatmap").data)
        assert f'PhysicalSizeX="{TILE * MPP}' in tif.ome_metadata


def test_heatmap_as_qupath_tiles(full, tmp_path):
    path = tmp_path / "map.geojson"
    assert ours(full, "heatmap").save(str(path), plugin=PLUGIN) == [str(path)]
    tiles = read_geojson(path)
    assert {tile.object_type for tile in tiles} == {"tile"}
    best = max(tiles, key=lambda tile: max(tile.measurements.values()))
    x, y = LANDMARK
    assert best.geometry.bounds == pytest.approx((x, y, x + TILE, y + TILE))


def test_all_layers_at_once_leave_the_slide_out(full, tmp_path):
    path = tmp_path / "all.geojson"
    assert full.viewer.layers.save(str(path), plugin=PLUGIN) == [str(path)]
    objects = read_geojson(path)
    kinds = [found.object_type for found in objects]
    assert kinds.count("tile") == 20
    points = [found for found in objects if found.geometry.geom_type == "Point"]
    assert {point.classification for point in points} == {"like", "unlike"}
    (like,) = [point for point in points if point.classification == "like"]
    assert like.geometry.coords[0] == pytest.approx(
        (LANDMARK[0] + 100, LANDMARK[1] + 90)
    )
    synthetic = [f for f in objects if f.metadata.get("synthetic") == "true"]
    assert synthetic
    x, y = LANDMARK[0] + 100 - TILE / 2, LANDMARK[1] + 90 - TILE / 2
    assert synthetic[0].geometry.bounds == pytest.approx((x, y, x + TILE, y + TILE))


def test_shapes_drawn_on_the_slide(full, tmp_path):
    slide = full.current.layer
    shapes = full.viewer.add_shapes(
        [np.array([[9.5, 19.5], [9.5, 99.5], [49.5, 99.5], [49.5, 19.5]])],
        scale=slide.scale,
        units=slide.units,
        metadata=ours(full, "prompts").metadata,
    )
    path = tmp_path / "shapes.geojson"
    assert shapes.save(str(path), plugin=PLUGIN) == [str(path)]
    (found,) = read_geojson(path)
    assert found.geometry.bounds == pytest.approx((20, 10, 100, 50))


def test_synthetic_images_as_png_with_provenance(full, tmp_path):
    path = tmp_path / "tissue.synthetic.png"
    written = ours(full, "synthetic").save(str(path), plugin=PLUGIN)
    assert len(written) == 2
    for number, file in enumerate(written):
        provenance = read_provenance(file)
        assert provenance.synthetic is True
        assert provenance.seed == number
        np.testing.assert_array_equal(
            np.asarray(Image.open(file)), ours(full, "synthetic").data[number]
        )


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
@pytest.mark.parametrize("kind", ["heatmap", "synthetic"])
def test_pictures_open_where_they_were_saved(full, tmp_path, kind, ending):
    """Values, place and scale, as seen through napari's own world coordinates."""
    layer = ours(full, kind)
    name = f"picture{ending}"
    files = layer.save(str(tmp_path / name), plugin=PLUGIN)
    assert len(files) == (2 if kind == "synthetic" else 1)
    (again,) = full.viewer.open(files[-1], plugin=PLUGIN)
    values = layer.data if kind == "heatmap" else layer.data[-1]
    np.testing.assert_array_equal(again.data, values)
    assert again.units == layer.units[-2:]
    for corner in ([-0.5, -0.5], [2.25, 3.5]):
        there = layer.data_to_world([0, *corner][-layer.ndim :])[-2:]
        assert again.data_to_world(corner) == pytest.approx(there, abs=1e-6)
    assert kind_of(again) == ("map" if kind == "heatmap" else "synthetic")
    # It is a picture of the slide that is open, and goes out again the same.
    assert entry(again)["fingerprint"] == full.current.fingerprint
    second = tmp_path / f"again{ending}"
    assert again.save(str(second), plugin=PLUGIN) == [str(second)]
    np.testing.assert_array_equal(
        read_pixels(second).pixels, read_pixels(files[-1]).pixels
    )
    # The panel makes and removes its own map only.
    full.current.prompts.clear()
    assert again in full.viewer.layers


def test_maps_of_one_grid_become_channels(full, tmp_path):
    data, keywords, _ = ours(full, "heatmap").as_layer_data_tuple()
    second = full.viewer.add_image(-data, **keywords | {"name": "second"})
    full.viewer.layers.selection = {ours(full, "heatmap"), second}
    path = tmp_path / "both.ome.zarr"
    written = full.viewer.layers.save(str(path), selected=True, plugin=PLUGIN)
    assert written == [str(path)]
    first, other = read_heatmaps(path)
    np.testing.assert_array_equal(first.values, -other.values)
    assert other.name == "second"


def test_foreign_layers_are_refused_in_one_line(full, tmp_path):
    for name, layer in (
        ("slide.ome.tif", full.current.layer),
        ("slide.synthetic.png", full.current.layer),
        ("heat.synthetic.png", ours(full, "heatmap")),
    ):
        with pytest.raises(OutputError, match="select one") as caught:
            layer.save(str(tmp_path / name), plugin=PLUGIN)
        assert "\n" not in str(caught.value)
    foreign = full.viewer.add_image(np.zeros((4, 4)), name="photo")
    with pytest.raises(OutputError, match="photo"):
        foreign.save(str(tmp_path / "photo.ome.tif"), plugin=PLUGIN)
    assert list(tmp_path.glob("*.tif")) == []
    assert list(tmp_path.glob("*.png")) == []


def test_other_files_are_still_napari_s_own(full, tmp_path):
    foreign = full.viewer.add_image(np.zeros((4, 4), np.uint8), name="photo")
    for name in ("photo.tif", "photo.png"):
        assert foreign.save(str(tmp_path / name)) == [str(tmp_path / name)]


def test_the_save_dialog_offers_and_completes_names(full, tmp_path):
    from napari.plugins._npe2 import file_extensions_string_for_layers

    from napari_pathfm.viewer._writers import write_ome_tiff

    text, writers = file_extensions_string_for_layers([ours(full, "heatmap")])
    for ending in (".geojson", ".ome.tif", ".ome.zarr", ".synthetic.png"):
        assert f"*{ending}" in text
    assert any(writer.command == f"{PLUGIN}.write_ome_tiff" for writer in writers)
    layers = [ours(full, "heatmap").as_layer_data_tuple()]
    typed = str(tmp_path / "Similarity")
    assert write_ome_tiff(typed, layers) == [f"{typed}.ome.tif"]
    # The dialog has asked about "Similarity", not about what it becomes.
    with pytest.raises(OutputError, match="exists already"):
        write_ome_tiff(typed, layers)


def test_exported_json_is_json(full, tmp_path):
    path = tmp_path / "all.geojson"
    full.viewer.layers.save(str(path), plugin=PLUGIN)
    assert json.loads(path.read_text())["type"] == "FeatureCollection"
