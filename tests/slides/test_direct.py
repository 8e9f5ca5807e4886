"""Tiles decoded without OpenSlide: its own pixels, or not at all."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
import pytest
import tifffile

from napari_pathfm import slides
from napari_pathfm.errors import SlideError
from napari_pathfm.slides import _jpeg, _segments

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from conftest import WritePyramid


@pytest.fixture(scope="session")
def texture(drawn_path: Path) -> NDArray[np.uint8]:
    with slides.open_slide(drawn_path, backend="openslide") as slide:
        return slide.read(200, 100, 1100, 900)


JPEG = {"compression": "jpeg", "compressionargs": {"level": 85}, "metadata": None}


@pytest.mark.parametrize(
    "options",
    [
        {**JPEG, "subsampling": (2, 2)},
        {**JPEG, "subsampling": (2, 1)},
        {**JPEG, "subsampling": (1, 1)},
        {"compression": "zlib"},
        {"compression": "lzw", "predictor": True},
        {"compression": None},
        {"compression": "zlib", "bigtiff": True},
    ],
    ids=["420", "422", "444", "zlib", "lzw", "raw", "big"],
)
def test_pixels_equal_openslides(
    tmp_path: Path, texture: NDArray[np.uint8], options: dict[str, Any]
) -> None:
    path = tmp_path / "slide.tif"
    big = options.pop("bigtiff", False)
    with tifffile.TiffWriter(path, bigtiff=big) as tif:
        for step in (1, 2, 4):
            tif.write(
                texture[::step, ::step],
                tile=(240, 256),
                subfiletype=int(step > 1),
                **{"photometric": "rgb", **options},
            )
    handle = openslide.OpenSlide(path)
    with slides.open_slide(path) as slide:
        assert slide.backend == "direct", slide.reading
        assert "equal to OpenSlide" in slide.reading
        for level, own in enumerate(slide.levels):
            wanted = handle.read_region((0, 0), level, (own.width, own.height))
            found = slide.read(0, 0, own.width, own.height, level=level)
            difference = np.abs(np.asarray(wanted)[..., :3].astype(int) - found)
            assert difference.max() <= 2


def test_real_slides_are_read_directly_and_the_dicom_is_not(
    cmu_slide_path: Path, tcga_slide_path: Path
) -> None:
    for path, places in ((cmu_slide_path, 2), (tcga_slide_path, 4)):
        with slides.open_slide(path) as slide:
            assert slide.backend == "direct"
            assert f"{places} places" in slide.reading
    dicom = cmu_slide_path.with_name("az_cmu1_small_region_1.dcm")
    with slides.open_slide(dicom) as slide:
        assert slide.backend == "openslide"
        assert slide.reading == "OpenSlide (no TIFF whose tiles can be found)"


def test_other_pixels_mean_openslide(
    cmu_slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = _jpeg.decode

    def tinted(*arguments: Any) -> NDArray[np.uint8]:
        return np.maximum(decode(*arguments), 5) - 5

    monkeypatch.setattr(_jpeg, "decode", tinted)
    with slides.open_slide(cmu_slide_path) as slide:
        assert slide.backend == "openslide"
        assert slide.reading == (
            "OpenSlide (decoded directly, its pixels differ by 5 of 255)"
        )
        own = slide.read(500, 900, 64, 64)
    handle = openslide.OpenSlide(cmu_slide_path)
    wanted = np.asarray(handle.read_region((500, 900), 0, (64, 64)))[..., :3]
    np.testing.assert_array_equal(own, wanted)
    with pytest.raises(SlideError, match="cannot be decoded directly"):
        slides.open_slide(cmu_slide_path, backend="direct")


def area_mean(pixels: NDArray[np.uint8], factor: int) -> NDArray[np.float64]:
    rows, columns = (side // factor for side in pixels.shape[:2])
    cut = pixels[: rows * factor, : columns * factor].astype(np.float64)
    blocks: NDArray[np.float64] = cut.reshape(rows, factor, columns, factor, 3)
    return blocks.mean((1, 3))


def psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


def test_shrunk_pixels_are_the_area_mean(
    cmu_slide_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        slides.open_slide(cmu_slide_path, mpp=0.25) as slide,
        slides.open_slide(cmu_slide_path, mpp=0.25, scaled_decode=False) as exact,
    ):
        assert slide.sampling(0.5) == slides.Sampling(0, 2.0, 2)
        assert slide.sampling(1.0).factor == 4
        assert exact.sampling(0.5) == slides.Sampling(0, pytest.approx(2.0))
        whole = exact.read(300, 500, 1600, 1800)
        half = slide.read(300, 500, 800, 900, mpp=0.5)
        resized = exact.read(300, 500, 800, 900, mpp=0.5)
    near, between = psnr(area_mean(whole, 2), half), psnr(area_mean(whole, 2), resized)
    with capsys.disabled():
        print(f"\nhalf size, PSNR to the area mean: {near:.1f} dB shrunk while")
        print(f"decoding; {between:.1f} dB by Pillow's bicubic filter")
    assert near > 45


@pytest.fixture(scope="module")
def blob(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A soft dark spot around level-0 (749.25, 451.75), corner origin."""
    rows, columns = np.indices((1100, 1500)) + 0.5
    away = (columns - 749.25) ** 2 + (rows - 451.75) ** 2
    grey = np.round(220 - 180 * np.exp(-away / (2 * 25**2))).astype(np.uint8)
    path = tmp_path_factory.mktemp("blob") / "blob.tif"
    tifffile.imwrite(
        path,
        np.stack([grey] * 3, axis=-1),
        tile=(256, 256),
        photometric="rgb",
        subsampling=(1, 1),
        compression="jpeg",
        compressionargs={"level": 95},
        metadata=None,
    )
    return path


@pytest.mark.parametrize(("step", "factor"), [(2, 2), (4, 4), (8, 8), (3, 2)])
def test_shrunk_pixels_stay_in_place(blob: Path, step: int, factor: int) -> None:
    """The spot comes out where it is, to a fiftieth of a pixel of the result.

    At a step of three the next finer factor is resized the rest of the way.
    """
    with slides.open_slide(blob, mpp=0.25) as slide:
        assert slide.sampling(0.25 * step).factor == factor
        side = 480 // step
        region = slide.read(504, 216, side, side, mpp=0.25 * step)
    weight = 220 - region[..., 0].astype(float)
    weight[weight < 2] = 0
    centre = [
        step * (weight * (place + 0.5)).sum() / weight.sum()
        for place in np.indices(weight.shape)[::-1]
    ]
    wanted = np.array([749.25, 451.75]) - (504, 216)
    np.testing.assert_allclose(centre, wanted, atol=0.02 * step)


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.6])
def test_the_stream_gives_what_read_gives_and_decodes_once(
    tmp_path: Path,
    texture: NDArray[np.uint8],
    mpp: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, texture, tile=(128, 128), photometric="rgb", **JPEG)
    with slides.open_slide(path, mpp=0.25) as slide:
        grid = slides.tile_grid(slide, px=100, mpp=mpp, stride=70, tissue=False)
        decoded: list[tuple[int, int]] = []
        decode = _segments.Segments.decode

        def spy(self: Any, file: Any, index: int, factor: int = 1, *more: Any) -> Any:
            decoded.append((index, factor))
            return decode(self, file, index, factor, *more)

        monkeypatch.setattr(_segments.Segments, "decode", spy)
        tiles = np.concatenate([p for _, p in slide.tiles(grid, batch=7)])
        assert len(decoded) == len(set(decoded)), "a slide tile was decoded twice"
        assert {factor for _, factor in decoded} == {2 if mpp > 0.25 else 1}
        monkeypatch.undo()
        for (x, y), tile in zip(grid.coords.tolist(), tiles, strict=True):
            np.testing.assert_array_equal(tile, slide.read(x, y, 100, 100, mpp=mpp))


def test_the_stream_holds_no_more_than_its_limit(
    tmp_path: Path, texture: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_pathfm.slides import _mosaic, _stream

    path = tmp_path / "slide.tif"
    tifffile.imwrite(path, texture, tile=(64, 64), photometric="rgb", **JPEG)
    made: list[_mosaic.Mosaic] = []
    limit = 40 * 64 * 64 * 3

    class Small(_mosaic.Mosaic):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, limit=limit)
            made.append(self)

    monkeypatch.setattr(_stream, "Mosaic", Small)
    with slides.open_slide(path, mpp=0.25) as slide:
        grid = slides.tile_grid(slide, px=100, mpp=0.25, tissue=False)
        most = 0
        wanted = [slide.read(x, y, 100, 100) for x, y in grid.coords.tolist()]
        for indices, pixels in slide.tiles(grid, batch=2):
            most = max(most, len(made[0]._held))
            for index, tile in zip(indices.tolist(), pixels, strict=True):
                np.testing.assert_array_equal(tile, wanted[index])
        # Three batches of two may need nine slide tiles a model tile for themselves.
        assert most <= 40 + 3 * 2 * 9
        assert not made[0]._held, "slide tiles are held that nobody needs"


@pytest.fixture
def hurt(tmp_path: Path, cmu_slide_path: Path) -> Path:
    path = tmp_path / "hurt.svs"
    shutil.copy(cmu_slide_path, path)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        # Row 6, column 5 of tiles of 240 px; not one that the check looks at.
        index = 6 * (-(-page.imagewidth // 240)) + 5
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    with path.open("r+b") as file:
        file.seek(offset + count // 3)
        file.write(b"\xff\xd9" + b"\0" * (count // 2))
    return path


def test_a_damaged_tile_is_reported_and_the_others_come(hurt: Path) -> None:
    with slides.open_slide(hurt) as slide:
        grid = slides.tile_grid(slide, px=240, tissue=False)
        hit = {
            i
            for i, (x, y) in enumerate(grid.coords.tolist())
            if x < 1440 and x + grid.tile_size > 1200
            if y < 1680 and y + grid.tile_size > 1440
        }
        reported: dict[int, tuple[int, int, str]] = {}

        def on_error(index: int, x: int, y: int, error: SlideError) -> None:
            reported[index] = (x, y, str(error))

        seen = [
            i
            for indices, pixels in slide.tiles(grid, batch=8, on_error=on_error)
            for i, _ in zip(indices.tolist(), pixels, strict=True)
        ]
    assert set(reported) == hit
    assert seen == [i for i in range(len(grid)) if i not in hit]
    for index, (x, y, text) in reported.items():
        assert [x, y] == grid.coords[index].tolist()
        assert "hurt.svs is damaged at x=1200, y=1440" in text


def test_threads_read_the_same(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        grid = slides.tile_grid(slide)
        one, four = (
            np.concatenate([p for _, p in slide.tiles(grid, threads=n)]) for n in (1, 4)
        )
        np.testing.assert_array_equal(one, four)
        with pytest.raises(SlideError, match="at least one thread"):
            slide.tiles(grid, threads=0)


def test_a_file_that_shrinks_is_said_so(cmu_slide_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "shrinks.svs"
    shutil.copy(cmu_slide_path, path)
    with slides.open_slide(path) as slide:
        with path.open("r+b") as file:
            file.truncate(50_000)
        with pytest.raises(SlideError, match=r"shrinks\.svs has changed"):
            slide.read(0, 0, *slide.dimensions)


def test_missing_tiles_are_white(
    write_pyramid: WritePyramid, texture: NDArray[np.uint8]
) -> None:
    path = write_pyramid("sparse.tif", texture, mpp=0.5)
    with tifffile.TiffFile(path, mode="r+b") as tif:
        tags = tif.pages.first.tags
        counts = list(tags["TileByteCounts"].value)
        counts[1] = 0
        tags["TileByteCounts"].overwrite(counts)
    with slides.open_slide(path) as slide:
        assert (slide.read(256, 0, 256, 256) == 255).all()
        assert not (slide.read(0, 0, 256, 256) == 255).all()


def test_streams_that_are_no_jpeg_are_refused() -> None:
    with pytest.raises(ValueError, match="no JPEG"):
        _jpeg.whole_stream(b"II*\0", b"", ycbcr=True)
    with pytest.raises(ValueError, match="tables"):
        _jpeg.whole_stream(b"\xff\xd8\xff\xd9", b"xx", ycbcr=True)
