"""Pixels with their place as OME-TIFF and OME-Zarr, read back by others and by us."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import zarr

from napari_pathfm.errors import MissingMppError, OutputError, PathfmError
from napari_pathfm.exports import (
    PlacedPixels,
    export_heatmap_ome_tiff,
    heatmap_pixels,
    is_our_picture,
    layer_pixels,
    pixels_to_layers,
    read_heatmaps,
    read_pixels,
    synthetic_pixels,
    write_each,
    write_pixels,
)
from napari_pathfm.heatmaps import Heatmap
from napari_pathfm.slides import open_slide

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SUFFIXES = (".ome.tif", ".ome.zarr")
BOX = (1000.5, 2000.25, 448.0, 448.0)


def _maps(count: int = 2, shape: tuple[int, int] = (301, 530)) -> list[Heatmap]:
    rng = np.random.default_rng(5)
    maps = []
    for number in range(count):
        values = rng.random(shape).astype(np.float32)
        values[:70, :90] = np.nan
        made_by = {"slide_fingerprint": "abc", "class": number}
        maps.append(
            Heatmap(
                values, (112.5, 64.0), 112, 0.25, f"class {number}", (0, 0.5), made_by
            )
        )
    return maps


def _same(one: PlacedPixels, other: PlacedPixels) -> None:
    np.testing.assert_array_equal(one.pixels, other.pixels)
    assert one.pixels.dtype == other.pixels.dtype
    for field in PlacedPixels.__dataclass_fields__:
        if field != "pixels":
            assert getattr(one, field) == getattr(other, field), field


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [1, 3])
def test_heatmaps_come_back(tmp_path: Path, suffix: str, count: int) -> None:
    before = heatmap_pixels(_maps(count))
    path = tmp_path / f"maps{suffix}"
    write_pixels(path, before)
    assert is_our_picture(path)
    _same(read_pixels(path), before)
    found = read_heatmaps(path)
    for one, other in zip(found, _maps(count), strict=True):
        np.testing.assert_array_equal(one.values, other.values)
        assert (one.origin, one.stride, one.mpp) == (
            other.origin,
            other.stride,
            other.mpp,
        )
        assert (one.name, one.limits) == (other.name, other.limits)
        assert one.provenance == other.provenance


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_synthetic_tissue_comes_back(
    tmp_path: Path, suffix: str, synthetic: Callable[..., Any]
) -> None:
    image = synthetic(side=224, box=BOX, slide_fingerprint="abc")
    before = synthetic_pixels(image)
    # 448 level-0 pixels became 224 of 0.5 µm.
    assert (before.stride, before.mpp) == (2.0, 0.25)
    path = tmp_path / f"tissue{suffix}"
    write_pixels(path, before)
    after = read_pixels(path)
    _same(after, before)
    assert after.provenance[0]["synthetic"] is True
    assert after.heatmaps() == []
    with pytest.raises(PathfmError, match="no heatmap"):
        read_heatmaps(path)


def test_levels_are_means_from_the_same_corner() -> None:
    values = np.arange(513 * 3, dtype=np.float32).reshape(3, 513)
    values[0, 1] = np.nan
    values[:2, 2:4] = np.nan
    (heatmap,) = _maps(1)
    placed = heatmap_pixels([Heatmap(values, (0, 0), 8, 0.5)])
    full, half, quarter = placed.levels()
    assert (full.shape, half.shape, quarter.shape) == (
        (1, 3, 513),
        (1, 2, 257),
        (1, 1, 129),
    )
    assert half[0, 0, 0] == pytest.approx(np.nanmean(values[:2, :2]))
    assert math.isnan(half[0, 0, 1])
    # The last row and column of an odd size stand for what there is.
    assert half[0, 1, 256] == values[2, 512]
    assert half[0, 0, 256] == values[:2, 512].mean()
    assert heatmap.values.shape == (301, 530)


def test_ome_tiff_is_a_pyramid_with_names_colours_and_sizes(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    path = tmp_path / "maps.ome.tif"
    maps = _maps(2)
    write_pixels(path, heatmap_pixels(maps, colors=[(1, 2, 3), (200, 100, 0)]))
    with tifffile.TiffFile(path) as file:
        (series,) = file.series
        assert series.axes == "CYX"
        assert [level.shape for level in series.levels] == [
            (2, 301, 530),
            (2, 151, 265),
            (2, 76, 133),
        ]
        values = series.levels[1].asarray()
        widths = [level.pages[0].resolution[0] for level in series.levels]
        root = ElementTree.fromstring(file.ome_metadata)
    assert values[1, 60, 100] == pytest.approx(
        maps[1].values[120:122, 200:202].mean(), rel=1e-6
    )
    # 28 µm a pixel, then twice and four times as much.
    assert widths == pytest.approx([1e4 / 28, 1e4 / 56, 1e4 / 112])
    channels = root.findall(".//{*}Channel")
    assert [channel.get("Name") for channel in channels] == ["class 0", "class 1"]
    packed = [int(channel.get("Color", "0")) % 2**32 for channel in channels]
    assert [f"{value:08X}" for value in packed] == ["010203FF", "C86400FF"]
    planes = root.findall(".//{*}Plane")
    assert [float(plane.get("PositionX", "0")) for plane in planes] == [
        112.5 * 0.25
    ] * 2
    assert read_pixels(path).colors == ((1, 2, 3), (200, 100, 0))


def test_ome_zarr_is_valid_and_lies_in_the_slide_s_world(tmp_path: Path) -> None:
    path = tmp_path / "maps.ome.zarr"
    placed = heatmap_pixels(_maps(2))
    write_pixels(path, placed)
    group = zarr.open_group(path, mode="r")
    ome = group.attrs["ome"]
    assert ome["version"] == "0.5"
    (image,) = ome["multiscales"]
    assert [axis.get("unit") for axis in image["axes"][1:]] == ["micrometer"] * 2
    for number, dataset in enumerate(image["datasets"]):
        scale, shift = (
            np.array(change[change["type"]])
            for change in dataset["coordinateTransformations"]
        )
        array = group[dataset["path"]]
        assert array.metadata.dimension_names == ("c", "y", "x")
        # The corner of the first pixel lies at the origin whatever the level: half a
        # level-0 pixel before the centre of the level-0 pixel there.
        corner = (shift - scale / 2)[1:] / 0.25 + 0.5
        assert corner == pytest.approx([64.0, 112.5])
        assert scale[1] == 28 * 2**number
    channels = ome["omero"]["channels"]
    assert [channel["label"] for channel in channels] == ["class 0", "class 1"]
    assert channels[0]["window"]["end"] == 0.5
    assert {len(channel["color"]) for channel in channels} == {6}


@pytest.mark.parametrize("kind", ["heatmap", "synthetic"])
def test_ome_zarr_by_another_reading_of_the_specification(
    tmp_path: Path, kind: str, synthetic: Callable[..., Any]
) -> None:
    yaozarrs = pytest.importorskip("yaozarrs", reason="an independent validator")
    path = tmp_path / "picture.ome.zarr"
    write_pixels(
        path,
        heatmap_pixels(_maps(2))
        if kind == "heatmap"
        else synthetic_pixels(synthetic(side=300, box=BOX)),
    )
    yaozarrs.validate_zarr_store(str(path))


def test_openslide_and_our_slides_open_synthetic_tissue(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    openslide = pytest.importorskip("openslide")
    image = synthetic(side=600, box=(0, 0, 1200, 1200))
    tiff, folder = tmp_path / "tissue.ome.tif", tmp_path / "tissue.ome.zarr"
    for path in (tiff, folder):
        write_pixels(path, synthetic_pixels(image))
        with open_slide(path) as slide:
            assert slide.dimensions == (600, 600)
            assert slide.mpp == pytest.approx(0.5)
            assert [level.width for level in slide.levels] == [600, 300, 150]
            np.testing.assert_array_equal(slide.read(0, 0, 600, 600), image.pixels)
    with openslide.OpenSlide(tiff) as slide:
        assert slide.dimensions == (600, 600)
        pixels = np.asarray(slide.read_region((0, 0), 0, (600, 600)))[..., :3]
        np.testing.assert_array_equal(pixels, image.pixels)
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.5)


def test_layers_are_placed_and_go_out_again(synthetic: Callable[..., Any]) -> None:
    placed = heatmap_pixels(_maps(2))
    layers = pixels_to_layers(placed)
    assert [attributes["name"] for _, attributes, _ in layers] == ["class 1", "class 0"]
    (again,) = layer_pixels(layers[::-1])
    _same(again, placed)
    # On a slide whose pixel size was corrected they keep their place in pixels.
    for data, attributes, _ in pixels_to_layers(placed, mpp=0.5):
        assert data.shape == (301, 530)
        assert attributes["scale"] == (56, 56)
        assert attributes["translate"] == pytest.approx(
            ((64 + 55.5) * 0.5, (112.5 + 55.5) * 0.5)
        )
    tissue = synthetic_pixels(synthetic(side=224, box=BOX))
    (layer,) = pixels_to_layers(tissue)
    (again,) = layer_pixels([layer])
    np.testing.assert_array_equal(again.pixels, tissue.pixels)
    assert again.origin == pytest.approx(tissue.origin)
    assert (again.stride, again.mpp) == pytest.approx((tissue.stride, tissue.mpp))


def test_several_pictures_are_numbered(
    tmp_path: Path, synthetic: Callable[..., Any]
) -> None:
    pictures = [synthetic_pixels(synthetic(seed, box=BOX)) for seed in (0, 1)]
    files = write_each(tmp_path / "a.ome.zarr", pictures)
    assert [file.name for file in files] == ["a-1.ome.zarr", "a-2.ome.zarr"]
    for file, placed in zip(files, pictures, strict=True):
        _same(read_pixels(file), placed)


def test_what_cannot_go_together(synthetic: Callable[..., Any]) -> None:
    first, second = _maps(2)
    with pytest.raises(OutputError, match="different grids"):
        heatmap_pixels([first, Heatmap(second.values, (0, 0), 112, 0.25, "far")])
    with pytest.raises(MissingMppError, match="--mpp"):
        heatmap_pixels([Heatmap(first.values, (0, 0), 112, None)])  # type: ignore[arg-type]
    with pytest.raises(OutputError, match="where on a slide"):
        synthetic_pixels(synthetic())
    with pytest.raises(OutputError, match="not square"):
        synthetic_pixels(synthetic(box=(0, 0, 100, 50)))
    tissue = pixels_to_layers(synthetic_pixels(synthetic(box=BOX)))
    with pytest.raises(OutputError, match="select heatmaps of one grid"):
        layer_pixels([*tissue, *pixels_to_layers(heatmap_pixels([first]))])


def test_only_our_own_folder_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ome.zarr"
    placed = heatmap_pixels(_maps(1))
    write_pixels(path, placed)
    other = heatmap_pixels(_maps(2))
    write_pixels(path, other)
    _same(read_pixels(path), other)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zarr.Group, "create_array", full)
    with pytest.raises(OutputError, match="No space left"):
        write_pixels(path, placed)
    monkeypatch.undo()
    # The old one still stands, and nothing beside it.
    _same(read_pixels(path), other)
    assert list(tmp_path.iterdir()) == [path]
    theirs = tmp_path / "theirs.ome.zarr"
    zarr.open_group(theirs, mode="w", attributes={"ome": {"version": "0.5"}})
    with pytest.raises(OutputError, match="not of this program"):
        write_pixels(theirs, placed)
    with pytest.raises(OutputError, match="must end in"):
        write_pixels(tmp_path / "a.png", placed)


def test_damage_is_one_line(tmp_path: Path, synthetic: Callable[..., Any]) -> None:
    tissue = synthetic_pixels(synthetic(side=600, box=BOX))
    folder, file = tmp_path / "a.ome.zarr", tmp_path / "a.ome.tif"
    write_pixels(folder, tissue)
    write_pixels(file, tissue)
    text = (folder / "zarr.json").read_text()
    wrong = json.loads(text)
    wrong["attributes"]["napari_pathfm"]["stride"] = "wide"
    (folder / "zarr.json").write_text(json.dumps(wrong))
    plain = tmp_path / "plain.ome.tif"
    tifffile.imwrite(plain, np.zeros((8, 8), np.uint8), ome=True)
    shorn = tmp_path / "shorn.ome.tif"
    shorn.write_bytes(file.read_bytes()[:2000])
    words = tmp_path / "words.ome.tif"
    words.write_text("no TIFF")
    for path in (folder, plain, shorn, words, tmp_path / "absent.ome.zarr"):
        with pytest.raises(PathfmError, match=path.name) as caught:
            read_pixels(path)
        assert "\n" not in str(caught.value)
    assert not is_our_picture(plain)
    assert not is_our_picture(words)
    with pytest.raises(OutputError, match="Nothing to export"):
        export_heatmap_ome_tiff(
            Heatmap(np.full((2, 2), np.nan, np.float32), (0, 0), 8, 0.5),
            tmp_path / "b.ome.tif",
        )
