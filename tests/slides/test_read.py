"""Reading against OpenSlide's own pixels, and against a drawn landmark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import openslide
import pytest
from PIL import Image

from napari_pathfm import slides
from napari_pathfm.errors import MissingMppError, SlideError
from napari_pathfm.slides import _resample

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.slides._levels import BackendName


def reference(
    handle: openslide.OpenSlide, x: int, y: int, level: int, w: int, h: int
) -> NDArray[np.uint8]:
    """OpenSlide's pixels on white, composited by Pillow."""
    region = handle.read_region((x, y), level, (w, h))
    ground = Image.new("RGBA", region.size, "white")
    return np.asarray(Image.alpha_composite(ground, region).convert("RGB"))


def assert_like_openslide(path: Path, seed: int, backend: BackendName) -> None:
    rng = np.random.default_rng(seed)
    handle = openslide.OpenSlide(path)
    width, height = handle.dimensions
    with slides.open_slide(path, backend=backend) as slide:
        assert slide.backend == backend
        regions = [
            # inside, at every border, across the corners, beyond, and far away
            *(
                (int(rng.integers(0, width)), int(rng.integers(0, height)), 97, 61)
                for _ in range(6)
            ),
            (-37, -21, 80, 60),
            (-301, 500, 200, 90),
            (width - 40, height - 30, 100, 80),
            (width - 1, 0, 3, 3),
            (width + 10, 10, 20, 20),
            (-1000, -1000, 30, 30),
        ]
        for level in range(handle.level_count):
            for x, y, w, h in regions:
                pixels = slide.read(x, y, w, h, level=level)
                assert pixels.shape == (h, w, 3)
                assert pixels.dtype == np.uint8
                wanted = reference(handle, x, y, level, w, h).astype(int)
                difference = np.abs(pixels - wanted).max()
                # Between the pixels of a level both interpolate, each rounding.
                most = 0 if backend == "openslide" or level == 0 else 2
                assert difference <= most, f"{level, x, y}"


@pytest.mark.parametrize("backend", ["openslide", "direct"])
def test_cmu_like_openslide(cmu_slide_path: Path, backend: BackendName) -> None:
    assert_like_openslide(cmu_slide_path, 1, backend)


@pytest.mark.parametrize("backend", ["openslide", "direct"])
def test_tcga_like_openslide_on_both_levels(
    tcga_slide_path: Path, backend: BackendName
) -> None:
    assert_like_openslide(tcga_slide_path, 2, backend)


@pytest.mark.parametrize("backend", ["openslide", "direct"])
def test_drawn_like_openslide(drawn_path: Path, backend: BackendName) -> None:
    assert_like_openslide(drawn_path, 3, backend)


@pytest.mark.parametrize(
    "name", ["az_cmu1_small_region_1.dcm", "camelyon_multiframe_jpeg.dcm"]
)
def test_dicom_like_openslide(shared_data: Path, name: str) -> None:
    assert_like_openslide(shared_data / "slides" / name, 4, "openslide")


def test_facts_of_cmu(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        assert slide.name == "CMU-1-Small-Region"
        assert slide.vendor == "aperio"
        assert slide.dimensions == (2220, 2967)
        assert slide.levels == (slides.Level(2220, 2967, 1.0),)
        assert slide.mpp == pytest.approx(0.499)
        assert slide.mpp_source == "file"
        assert slide.objective == 20


def test_facts_of_dicom(shared_data: Path) -> None:
    path = shared_data / "slides" / "camelyon_multiframe_jpeg.dcm"
    with slides.open_slide(path) as slide:
        assert slide.vendor == "dicom"
        assert slide.dimensions == (1152, 700)
        # 28.969 across, 28.968 down: the geometric mean
        assert slide.mpp == pytest.approx(28.9685, abs=1e-4)


def test_float_positions_go_to_the_nearest_pixel(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        expected = slide.read(301, 200, 50, 40)
        np.testing.assert_array_equal(slide.read(300.5, 200.4, 50, 40), expected)
        np.testing.assert_array_equal(slide.read(301.49, 199.5, 50, 40), expected)


def test_outside_is_white(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        width, height = slide.dimensions
        for mpp in (None, 0.5, 1.3):
            assert (slide.read(-500, 10, 64, 64, mpp=mpp) == 255).all()
            assert (slide.read(width + 9, height + 9, 64, 64, mpp=mpp) == 255).all()
        over = slide.read(width - 10, 0, 20, 5)
        assert (over[:, 10:] == 255).all()
        assert (over[:, :10] < 250).all()  # the drawn glass is 243


def test_transparency_is_composited_on_white(write_pyramid: Any) -> None:
    pixels = np.zeros((300, 300, 4), np.uint8)
    pixels[..., 0] = 100
    pixels[:, 150:, 3] = 255
    pixels[:100, :150, 3] = 51  # a fifth
    path = write_pyramid("alpha.tif", pixels, extrasamples="unassalpha")
    with slides.open_slide(path, backend="tifffile") as slide:
        region = slide.read(0, 0, 300, 300)
    assert region[0, 200].tolist() == [100, 0, 0]
    assert region[200, 0].tolist() == [255, 255, 255]
    assert region[50, 50].tolist() == [224, 204, 204]


# The landmark, to the pixel.


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
@pytest.mark.parametrize("mpp", [0.25, 0.3, 0.5, 0.7, 1.0, 1.5, 0.125])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (13.0, 7.0), (3.37, 8.81)])
def test_landmark_at_any_resolution(
    landmark: Any, backend: BackendName, mpp: float, offset: tuple[float, float]
) -> None:
    x0, y0 = landmark.x, landmark.y
    x, y = x0 - 40 + offset[0], y0 - 40 + offset[1]
    size = round(200 * landmark.mpp / mpp)
    with slides.open_slide(landmark.path, backend=backend) as slide:
        assert len(slide.levels) == 2
        region = slide.read(x, y, size, size, mpp=mpp)
        sampling = slide.sampling(mpp)
        direct = sampling.downsample == slide.levels[sampling.level].downsample
    expected = (
        (landmark.centre[0] - x) / sampling.downsample,
        (landmark.centre[1] - y) / sampling.downsample,
    )
    # Stored pixels come from the nearest one; resized ones lie exactly where asked.
    slack = 0.51 if direct else 0.04
    assert landmark.centroid(region) == pytest.approx(expected, abs=slack)


def test_landmark_edge_at_level0(landmark: Any) -> None:
    x, y, side = landmark.x, landmark.y, landmark.side
    with slides.open_slide(landmark.path) as slide:
        inside = slide.read(x, y, side, side)
        around = slide.read(x - 1, y - 1, side + 2, side + 2)
    assert (inside == 40).all()
    assert (around[0] == 200).all()
    assert (around[:, -1] == 200).all()


def test_half_resolution_is_exact_where_pixels_pair(landmark: Any) -> None:
    """At an odd position a landmark of odd position has sharp edges at half size."""
    x, y = landmark.x, landmark.y
    with slides.open_slide(landmark.path) as slide:
        region = slide.read(x - 20, y - 20, 68, 68, mpp=0.5)
    assert (region[14:54, 14:54] == 40).all()  # the landmark has 10 to 58
    assert abs(int(region[30, 9, 0]) - 200) <= 16  # bicubic rings a little
    assert abs(int(region[30, 10, 0]) - 40) <= 16


def test_neighbours_join_without_a_seam(landmark: Any) -> None:
    """A region read in parts equals the region read at once."""
    x, y = landmark.x, landmark.y
    with slides.open_slide(landmark.path) as slide:
        step = slide.sampling(0.7).downsample
        whole = slide.read(x - 60, y - 60, 100, 100, mpp=0.7)
        left = slide.read(x - 60, y - 60, 47, 100, mpp=0.7)
        right = slide.read(x - 60 + 47 * step, y - 60, 53, 100, mpp=0.7)
    joined = np.concatenate([left, right], axis=1).astype(int)
    assert np.abs(joined - whole).max() <= 1


def test_large_regions_are_read_in_bands(
    drawn_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with slides.open_slide(drawn_path, backend="openslide") as slide:
        whole = slide.read(-5.3, -7.9, 600, 500, mpp=1.37)
        sizes: list[int] = []
        read = slide.reader.read

        def spy(level: int, x: int, y: int, w: int, h: int) -> NDArray[np.uint8]:
            sizes.append(w * h)
            return read(level, x, y, w, h)

        monkeypatch.setattr(slide.reader, "read", spy)
        monkeypatch.setattr(_resample, "BAND_PIXELS", 100_000)
        banded = slide.read(-5.3, -7.9, 600, 500, mpp=1.37)
    assert len(sizes) > 3
    assert max(sizes) <= 100_000
    assert np.abs(banded.astype(int) - whole).max() <= 1


def test_sampling(landmark: Any) -> None:
    with slides.open_slide(landmark.path) as slide:  # mpp 0.25; downsamples 1 and 4
        factor = slide.levels[1].downsample
        assert slide.sampling(0.25) == slides.Sampling(0, 1.0)
        assert slide.sampling(0.252) == slides.Sampling(0, 1.0)
        assert slide.sampling(0.248) == slides.Sampling(0, 1.0)
        assert slide.sampling(0.255) == slides.Sampling(0, pytest.approx(1.02))
        assert slide.sampling(0.5) == slides.Sampling(0, pytest.approx(2.0))
        assert slide.sampling(0.98) == slides.Sampling(0, pytest.approx(3.92))
        assert slide.sampling(0.995) == slides.Sampling(1, factor)
        assert slide.sampling(1.0) == slides.Sampling(1, factor)
        assert slide.sampling(2.0) == slides.Sampling(1, pytest.approx(8.0))
        assert slide.sampling(0.1) == slides.Sampling(0, pytest.approx(0.4))


def test_level_within_one_percent_is_read_as_stored(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:  # mpp 0.499
        np.testing.assert_array_equal(
            slide.read(901, 802, 224, 224, mpp=0.5), slide.read(901, 802, 224, 224)
        )


def test_stored_pixels_of_a_coarse_level_are_not_blurred(landmark: Any) -> None:
    """Between two pixels of a level the nearest is taken, not a mean of both."""
    with slides.open_slide(landmark.path) as slide:
        whole = slide.read(0, 0, *_size(slide.levels[1]), level=1)
        region = slide.read(1250 + 1.7, 850 + 1.2, 60, 60, mpp=1.0)
    column, row = round(1251.7 / 4), round(851.2 / 4)
    np.testing.assert_array_equal(region, whole[row : row + 60, column : column + 60])


def _size(level: slides.Level) -> tuple[int, int]:
    return level.width, level.height


def test_thumbnail(landmark: Any) -> None:
    with slides.open_slide(landmark.path) as slide:
        small = slide.thumbnail(500)
        assert small.shape == (380, 500, 3)
        expected = (landmark.centre[0] / 5, landmark.centre[1] / 5)
        assert landmark.centroid(small) == pytest.approx(expected, abs=0.3)
        assert slide.thumbnail(10_000).shape == (landmark.height, landmark.width, 3)


@pytest.mark.parametrize(
    "size", [(0, 10), (10, -1), (2.5, 10), ("a", 3), (None, 3), (100_000, 100_000)]
)
def test_absurd_sizes(drawn_path: Path, size: tuple[int, int]) -> None:
    with (
        slides.open_slide(drawn_path) as slide,
        pytest.raises(SlideError, match="drawn"),
    ):
        slide.read(0, 0, *size)


@pytest.mark.parametrize("x", [float("nan"), float("inf"), 1e300])
def test_absurd_positions(drawn_path: Path, x: float) -> None:
    with slides.open_slide(drawn_path) as slide, pytest.raises(SlideError):
        slide.read(x, 0, 10, 10)


@pytest.mark.parametrize("level", [-1, 2, 99])
def test_absent_level(drawn_path: Path, level: int) -> None:
    with (
        slides.open_slide(drawn_path) as slide,
        pytest.raises(SlideError, match="levels 0 to 1"),
    ):
        slide.read(0, 0, 10, 10, level=level)


def test_level_and_mpp_exclude_each_other(drawn_path: Path) -> None:
    with (
        slides.open_slide(drawn_path) as slide,
        pytest.raises(SlideError, match="both"),
    ):
        slide.read(0, 0, 10, 10, level=1, mpp=1.0)


def test_mpp_needs_the_slides_own(tcga_slide_path: Path) -> None:
    with slides.open_slide(tcga_slide_path) as slide:
        assert slide.read(0, 0, 10, 10).shape == (10, 10, 3)
        with pytest.raises(MissingMppError):
            slide.read(0, 0, 10, 10, mpp=0.5)


@pytest.mark.parametrize("backend", ["direct", "openslide", "tifffile"])
def test_closed(drawn_path: Path, backend: BackendName) -> None:
    slide = slides.open_slide(drawn_path, backend=backend)
    slide.read(0, 0, 10, 10)
    slide.close()
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read(0, 0, 10, 10)
