from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager

from napari_pathfm.viewer._metadata import entry
from napari_pathfm.viewer._reader import get_reader, read_slide


def test_a_slide_becomes_one_multiscale_layer_in_micrometres(
    cmu_slide_path, open_layer
):
    viewer = ViewerModel()
    layer = open_layer(viewer, cmu_slide_path)
    assert layer.name == "CMU-1-Small-Region"
    assert layer.multiscale
    assert layer.rgb
    assert layer.data[0].shape == (2967, 2220, 3)
    assert max(layer.data[-1].shape) <= 1024
    np.testing.assert_allclose(layer.scale, 0.499, atol=1e-4)
    assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
    facts = entry(layer)
    assert facts["kind"] == "slide"
    assert facts["version"] == 1
    assert facts["path"] == str(cmu_slide_path)
    assert facts["mpp"] == pytest.approx(0.499)
    assert facts["mpp_source"] == "file"
    assert json.loads(json.dumps(facts)) == facts


def test_a_slide_without_pixel_size_stays_in_pixels(tcga_slide_path, open_layer):
    layer = open_layer(ViewerModel(), tcga_slide_path)
    np.testing.assert_array_equal(layer.scale, 1)
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    assert entry(layer)["mpp"] is None


def test_a_broken_slide_is_one_line_and_no_layer(tmp_path, cmu_slide_path):
    broken = tmp_path / "broken.svs"
    broken.write_bytes(cmu_slide_path.read_bytes()[:100_000])
    notification_manager.records.clear()
    reader = get_reader(str(broken))
    assert reader is not None
    assert reader(str(broken)) == [(None,)]
    (record,) = notification_manager.records
    assert str(record.severity) == "error"
    assert "broken.svs" in record.message
    assert "\n" not in record.message


def test_a_broken_slide_opened_through_napari(tmp_path):
    broken = tmp_path / "broken.svs"
    broken.write_bytes(b"no slide at all" * 100)
    viewer = ViewerModel()
    assert viewer.open(broken, plugin="napari-pathfm") == []
    assert len(viewer.layers) == 0


def test_pyramidal_tiff_is_taken(drawn_path):
    assert get_reader(str(drawn_path)) is not None


def test_other_tiff_folders_and_stacks_are_left_to_others(tmp_path, drawn_path):
    photo = tmp_path / "photo.tif"
    tifffile.imwrite(photo, np.zeros((64, 64, 3), np.uint8))
    volume = tmp_path / "volume.tiff"
    tifffile.imwrite(volume, np.zeros((5, 64, 64), np.uint16))
    text = tmp_path / "text.tif"
    text.write_text("hello")
    folder = tmp_path / "folder.svs"
    folder.mkdir()
    assert get_reader(str(photo)) is None
    assert get_reader(str(volume)) is None
    assert get_reader(str(text)) is None
    assert get_reader(str(folder)) is None
    assert get_reader(str(tmp_path / "absent.tif")) is None
    assert get_reader([str(drawn_path)]) is None


def test_reading_decodes_no_more_than_an_overview(drawn_path, monkeypatch):
    import openslide

    read, seen = openslide.OpenSlide.read_region, []

    def spy(self, location, level, size):
        seen.append((level, size))
        return read(self, location, level, size)

    monkeypatch.setattr(openslide.OpenSlide, "read_region", spy)
    ((data, _, _),) = read_slide(drawn_path)
    assert len(data) >= 2
    # Two small squares of each level at most: whether tiles may be decoded directly.
    assert all(max(size) <= 256 for level, size in seen if level == 0)
    assert len(seen) <= 2 * len(data)
