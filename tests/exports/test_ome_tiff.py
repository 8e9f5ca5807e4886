"""Heatmaps as OME-TIFF, read back by tifffile and as plain XML."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile

from napari_pathfm.errors import MissingMppError, OutputError
from napari_pathfm.exports import export_heatmap_ome_tiff
from napari_pathfm.heatmaps import Heatmap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

OME = {"": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
PROVENANCE = {"slide_fingerprint": "abc", "name": "é<&>\x00", "like": [[10.5, 20.0]]}


def _heatmap(**changes: Any) -> Heatmap:
    values = np.random.default_rng(3).normal(size=(37, 53)).astype(np.float32)
    values[5:9, 7] = np.nan
    values[0, 0] = -np.inf
    known: dict[str, Any] = {
        "values": values,
        "origin": (112.5, 64.0),
        "stride": 224,
        "mpp": 0.2525,
        "name": "ähnlich <1>\x07",
        "provenance": PROVENANCE,
    }
    return Heatmap(**known | changes)


def _ome_xml(path: Path) -> ElementTree.Element:
    with tifffile.TiffFile(path) as file:
        return ElementTree.fromstring(file.ome_metadata)


def test_values_and_sizes_come_back(tmp_path: Path) -> None:
    heatmap = _heatmap()
    path = tmp_path / "heatmap.ome.tif"
    export_heatmap_ome_tiff(heatmap, path)
    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        values = file.asarray()
        (series,) = file.series
        assert series.axes == "YX"
        # Pixels per centimetre, for readers that know nothing of OME.
        assert file.pages[0].resolution == pytest.approx((1e4 / 56.56,) * 2)
        root = ElementTree.fromstring(file.ome_metadata)
    assert values.dtype == np.float32
    # The same bits, NaN included.
    np.testing.assert_array_equal(
        values.view(np.uint32), heatmap.values.view(np.uint32)
    )
    pixels = root.find("Image/Pixels", OME)
    assert pixels is not None
    for axis in "XY":
        assert float(pixels.attrib[f"PhysicalSize{axis}"]) == pytest.approx(56.56)
        assert pixels.attrib[f"PhysicalSize{axis}Unit"] == "µm"
    plane = pixels.find("Plane", OME)
    assert plane is not None
    assert float(plane.attrib["PositionX"]) == pytest.approx(112.5 * 0.2525)
    assert float(plane.attrib["PositionY"]) == pytest.approx(64 * 0.2525)
    assert plane.attrib["PositionXUnit"] == plane.attrib["PositionYUnit"] == "µm"
    channel = pixels.find("Channel", OME)
    assert channel is not None
    assert channel.attrib["Name"] == "ähnlich <1> "


def test_provenance_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "heatmap.ome.tiff"
    export_heatmap_ome_tiff(_heatmap(), path)
    root = _ome_xml(path)
    annotation = root.find("StructuredAnnotations/MapAnnotation", OME)
    assert annotation is not None
    assert annotation.attrib["Namespace"] == "napari-pathfm/heatmap/1"
    reference = root.find("Image/AnnotationRef", OME)
    assert reference is not None
    assert reference.attrib["ID"] == annotation.attrib["ID"]
    found = {
        entry.attrib["K"]: entry.text for entry in annotation.iterfind(".//M", OME)
    }
    assert json.loads(found.pop("provenance") or "") == PROVENANCE
    assert json.loads(found.pop("limits") or "") == [[0.0, 1.0]]
    assert {key: float(text or "") for key, text in found.items()} == {
        "origin_x": 112.5,
        "origin_y": 64.0,
        "stride": 224.0,
        "mpp": 0.2525,
    }


def test_elements_stand_in_the_order_of_the_schema(tmp_path: Path) -> None:
    """OME's schema is made of sequences: the right elements misplaced are invalid."""
    path = tmp_path / "heatmap.ome.tif"
    export_heatmap_ome_tiff(_heatmap(), path)
    root = _ome_xml(path)

    def children(where: str) -> list[str]:
        element = root.find(where, OME) if where else root
        assert element is not None
        return [child.tag.split("}")[1] for child in element]

    assert children("") == ["Image", "StructuredAnnotations"]
    assert children("Image") == ["Description", "Pixels", "AnnotationRef"]
    assert children("Image/Pixels") == ["Channel", "TiffData", "Plane"]
    assert root.attrib["UUID"].startswith("urn:uuid:")


def test_small_and_single(tmp_path: Path) -> None:
    for shape in ((1, 1), (1, 9), (9, 1)):
        values = np.ones(shape, np.float32)
        path = tmp_path / f"{shape[0]}-{shape[1]}.ome.tif"
        export_heatmap_ome_tiff(_heatmap(values=values), path)
        np.testing.assert_array_equal(tifffile.imread(path).reshape(shape), values)


@pytest.mark.parametrize("name", ["absent/a.ome.tif", "a.tif", "a.png"])
def test_unwritable(
    tmp_path: Path, name: str, leaves_nothing: Callable[[], None]
) -> None:
    with pytest.raises(OutputError, match="cannot be written") as caught:
        export_heatmap_ome_tiff(_heatmap(), tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)
    leaves_nothing()


def test_nothing_and_no_pixel_size(
    tmp_path: Path, leaves_nothing: Callable[[], None]
) -> None:
    path = tmp_path / "a.ome.tif"
    nothing = np.full((3, 3), np.nan, np.float32)
    with pytest.raises(OutputError, match="Nothing to export"):
        export_heatmap_ome_tiff(_heatmap(values=nothing), path)
    with pytest.raises(MissingMppError, match="--mpp"):
        export_heatmap_ome_tiff(_heatmap(mpp=None), path)
    leaves_nothing()


def test_failing_midway_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, leaves_nothing: Callable[[], None]
) -> None:
    def half(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    # By then the file has been begun.
    monkeypatch.setattr(tifffile.TiffWriter, "write", half)
    with pytest.raises(OutputError, match="No space left"):
        export_heatmap_ome_tiff(_heatmap(), tmp_path / "a.ome.tif")
    leaves_nothing()
