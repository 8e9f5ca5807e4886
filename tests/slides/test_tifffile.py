"""The tifffile backend: against OpenSlide, and what OpenSlide does not read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_pathfm import slides
from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _segments, _tifffile

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture
def pixels(drawn_path: Path) -> NDArray[np.uint8]:
    with slides.open_slide(drawn_path) as slide:
        return slide.read(300, 200, 700, 600)


def assert_same_pixels(path: Path, *, exactly: bool, seed: int = 0) -> None:
    """Compare both backends on random regions of every level."""
    rng = np.random.default_rng(seed)
    with (
        slides.open_slide(path, backend="openslide") as one,
        slides.open_slide(path, backend="tifffile") as other,
    ):
        assert (one.backend, other.backend) == ("openslide", "tifffile")
        assert one.levels == other.levels
        assert one.fingerprint == other.fingerprint
        assert one.mpp == other.mpp
        width, height = one.dimensions
        for level in range(len(one.levels)):
            for _ in range(12):
                x = int(rng.integers(-150, width))
                y = int(rng.integers(-150, height))
                a = one.read(x, y, 173, 131, level=level).astype(int)
                b = other.read(x, y, 173, 131, level=level).astype(int)
                difference = np.abs(a - b)
                # Between the pixels of a level both interpolate, each with its own
                # rounding.
                assert difference.max() <= (0 if exactly and level == 0 else 2)
                assert difference.mean() < 0.5


def test_like_openslide_on_a_generic_pyramid(drawn_path: Path) -> None:
    assert_same_pixels(drawn_path, exactly=True)


def test_like_openslide_between_the_pixels_of_a_level(landmark: Any) -> None:
    assert_same_pixels(landmark.path, exactly=True)


def test_like_openslide_on_aperio_jpeg(cmu_slide_path: Path) -> None:
    assert_same_pixels(cmu_slide_path, exactly=False)


def test_ome_tiff_with_subifds(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "levels.ome.tif"
    half = pixels[::2, ::2]
    with tifffile.TiffWriter(path, ome=True) as tif:
        options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb"}
        metadata = {
            "axes": "YXS",
            "PhysicalSizeX": 250.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.00025,
            "PhysicalSizeYUnit": "mm",
        }
        tif.write(pixels, subifds=1, metadata=metadata, **options)
        tif.write(half, subfiletype=1, **options)
    with slides.open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.vendor == "ome-tiff"
        assert slide.levels == (
            slides.Level(700, 600, 1.0),
            slides.Level(350, 300, 2.0),
        )
        assert slide.mpp == pytest.approx(0.25)
        assert slide.mpp_source == "file"
        np.testing.assert_array_equal(slide.read(0, 0, 700, 600), pixels)
        np.testing.assert_array_equal(slide.read(0, 0, 350, 300, level=1), half)
        np.testing.assert_array_equal(
            slide.read(20, 40, 99, 50, mpp=0.5), half[20:70, 10:109]
        )


@pytest.mark.parametrize("unit", ["µm", "um", "&#xB5;m"])
def test_ome_micrometres_in_any_spelling(
    tmp_path: Path, pixels: NDArray[np.uint8], unit: str
) -> None:
    path = tmp_path / "unit.ome.tif"
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        '<Image ID="Image:0">'
        '<Pixels DimensionOrder="XYCZT" ID="Pixels:0" SizeC="3" SizeT="1" SizeX="700" '
        f'SizeY="600" SizeZ="1" Type="uint8" '
        f'PhysicalSizeX="0.3" PhysicalSizeXUnit="{unit}" '
        f'PhysicalSizeY="0.3" PhysicalSizeYUnit="{unit}">'
        '<Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/>'
        "</Pixels></Image></OME>"
    )
    tifffile.imwrite(
        path,
        pixels,
        tile=(128, 128),
        photometric="rgb",
        description=xml.encode(),
        metadata=None,
    )
    with slides.open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.3)


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "jpeg", "tile": (128, 128)},
        {"compression": "lzw", "rowsperstrip": 37},
        {"rowsperstrip": 1000},
        {"planarconfig": "separate", "tile": (128, 128)},
        {"compression": "zlib", "predictor": True, "tile": (64, 160)},
    ],
    ids=["jpeg", "strips", "one strip", "planes", "predictor"],
)
def test_layouts(
    tmp_path: Path, pixels: NDArray[np.uint8], options: dict[str, Any]
) -> None:
    path = tmp_path / "layout.tif"
    data = pixels
    if options.get("planarconfig") == "separate":
        data = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    tifffile.imwrite(path, data, photometric="rgb", metadata=None, **options)
    expected = tifffile.imread(path)
    if expected.shape[0] == 3:
        expected = expected.transpose(1, 2, 0)
    with slides.open_slide(path, backend="tifffile") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 700, 600), expected)
        np.testing.assert_array_equal(
            slide.read(111, 77, 300, 200), expected[77:277, 111:411]
        )


def test_plain_tiff_opens_by_itself(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels, photometric="rgb")
    with slides.open_slide(path) as slide:
        assert slide.backend == "tifffile"
        assert slide.mpp is None
        np.testing.assert_array_equal(slide.read(5, 6, 100, 90), pixels[6:96, 5:105])


def test_bigtiff(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    path = tmp_path / "big.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(256, 256), bigtiff=True)
    with slides.open_slide(path, backend="tifffile") as slide:
        np.testing.assert_array_equal(slide.read(0, 0, 700, 600), pixels)


def test_tile_that_is_not_stored_is_white(write_pyramid: Any) -> None:
    """Sparse slides leave empty tiles out: offset and byte count are 0."""
    path = write_pyramid("sparse.tif", np.full((512, 512, 3), 90, np.uint8))
    with tifffile.TiffFile(path, mode="r+") as tif:
        counts = tif.pages.first.tags["TileByteCounts"]
        counts.overwrite([*counts.value[:-1], 0])
    with slides.open_slide(path, backend="tifffile") as slide:
        region = slide.read(0, 0, 512, 512)
    assert (region[256:, 256:] == 255).all()
    assert (region[:256] == 90).all()


@pytest.mark.parametrize(
    ("data", "options", "reason"),
    [
        (np.zeros((300, 300), np.uint8), {}, "1 channel "),
        (np.zeros((300, 300, 3), np.uint16), {"photometric": "rgb"}, "uint16"),
        (np.zeros((300, 300, 3), np.float32), {"photometric": "rgb"}, "float32"),
        (
            np.zeros((300, 300, 5), np.uint8),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "5 channels",
        ),
        (
            np.zeros((5, 300, 300), np.uint8),
            {"photometric": "minisblack"},
            "1 channel ",
        ),
        (np.zeros((300, 300, 4), np.uint8), {"photometric": "separated"}, "SEPARATED"),
        (np.zeros((300, 300), bool), {}, "bool|uint8|1 channel"),
    ],
    ids=["grey", "uint16", "float", "5 channels", "stack", "CMYK", "bilevel"],
)
@pytest.mark.parametrize("tiled", [True, False])
def test_what_is_no_bright_field_slide_is_refused(
    tmp_path: Path,
    data: NDArray[Any],
    options: dict[str, Any],
    reason: str,
    tiled: bool,
) -> None:
    path = tmp_path / "other.tif"
    tile = (128, 128) if tiled else None
    tifffile.imwrite(path, data, metadata=None, tile=tile, **options)
    with pytest.raises(SlideError, match=reason) as caught:
        slides.open_slide(path)
    assert "other.tif" in str(caught.value)
    assert "RGB" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_huge_plain_tiff_is_refused_without_decoding(
    tmp_path: Path, pixels: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tifffile, "MAX_PLAIN_PIXELS", 300_000)
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=10)
    with pytest.raises(SlideError, match=r"plain\.tif.*without tiles.*tiffsave"):
        slides.open_slide(path)
    monkeypatch.undo()
    monkeypatch.setattr(_tifffile, "MAX_SEGMENT_PIXELS", 300_000)
    tifffile.imwrite(path, pixels, photometric="rgb", rowsperstrip=600)
    with pytest.raises(SlideError, match=r"plain\.tif.*in one piece.*tiffsave"):
        slides.open_slide(path)


def test_opening_decodes_nothing(
    drawn_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[int] = []
    decode = _segments.Segments.decode

    def spy(self: Any, *where: Any) -> Any:
        decoded.append(1)
        return decode(self, *where)

    monkeypatch.setattr(_segments.Segments, "decode", spy)
    with slides.open_slide(drawn_path, backend="tifffile") as slide:
        assert decoded == []
        slide.read(0, 0, 200, 200)
        assert len(decoded) == 1
        slide.read(10, 10, 200, 200)
        assert len(decoded) == 1  # from the cache
        slide.read(200, 200, 100, 100)
        assert len(decoded) == 4


def test_cache_is_bounded() -> None:
    from napari_pathfm.slides._cache import TileCache

    cache = TileCache(100)
    for key in range(10):
        cache.put(key, np.zeros(30, np.uint8))
    assert [key for key in range(10) if cache.get(key) is not None] == [7, 8, 9]
    assert cache.get(7) is not None  # used now, so 8 goes first
    cache.put(10, np.zeros(30, np.uint8))
    assert cache.get(8) is None
    assert cache.get(7) is not None
    cache.put(11, np.zeros(101, np.uint8))
    assert cache.get(11) is None
