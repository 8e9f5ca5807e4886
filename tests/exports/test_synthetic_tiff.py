"""A synthetic area as OME-TIFF: every pixel, its size, and what made it."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.exports import (
    read_provenance,
    read_synthetic,
    synthetic_pixels,
    write_pixels,
)
from napari_pathfm.generators import Provenance, SyntheticImage


@pytest.fixture
def image():
    pixels = np.random.default_rng(0).integers(0, 255, (1101, 700, 3)).astype(np.uint8)
    told = Provenance(
        generator="bundled",
        generator_revision="x",
        sampler="euler",
        steps=2,
        guidance=1.5,
        guidance_interval=(0.0, 0.75),
        seed=7,
        mpp=0.5,
        box=(100.0, 200.0, 1400.0, 2202.0),
        action="twin",
        slide="<a & b>.svs",
    )
    return SyntheticImage(pixels, told)


def test_pixels_size_and_provenance_come_back(image, tmp_path):
    path = tmp_path / "twin.ome.tif"
    write_pixels(path, synthetic_pixels(image))
    again = read_synthetic(path)
    np.testing.assert_array_equal(again.pixels, image.pixels)
    assert again.provenance == image.provenance
    assert read_provenance(path) == image.provenance
    with tifffile.TiffFile(path) as tif:
        levels = tif.series[0].levels
        assert [level.shape for level in levels][:2] == [(1101, 700, 3), (551, 350, 3)]
        wanted = image.pixels[:2, :2].astype(int).mean((0, 1))
        np.testing.assert_allclose(levels[1].asarray()[0, 0], wanted, atol=0.5)
        told = tifffile.xml2dict(tif.ome_metadata)["OME"]["Image"]
        assert "Synthetic" in told["Name"]
        assert "not tissue" in told["Description"]
        assert told["Pixels"]["PhysicalSizeX"] == 0.5
        # Level-0 pixels are 0.25 um here.
        assert told["Pixels"]["Plane"]["PositionX"] == 25


def test_stripped_and_foreign_files_are_told_apart(image, tmp_path):
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, image.pixels)
    with pytest.raises(PathfmError, match="only PNG and OME-TIFF files of this"):
        read_provenance(path)
    other = tmp_path / "other.ome.tif"
    tifffile.imwrite(other, image.pixels, ome=True)
    with pytest.raises(PathfmError, match="no picture of this program"):
        read_provenance(other)
    (tmp_path / "broken.ome.tif").write_bytes(b"no tiff")
    for name in ("broken", "absent"):
        with pytest.raises(PathfmError, match="cannot be read"):
            read_provenance(tmp_path / f"{name}.ome.tif")


def test_bad_names_leave_nothing(image, tmp_path):
    with pytest.raises(OutputError, match=r"ome\.tif"):
        write_pixels(tmp_path / "twin.png", synthetic_pixels(image))
    assert not list(tmp_path.iterdir())
