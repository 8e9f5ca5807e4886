"""Glass is left out: on real slides, places checked by eye on overlays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_pathfm import slides

if TYPE_CHECKING:
    from pathlib import Path

# Centres of squares, in level-0 pixels.
CMU_TISSUE = {
    "dermis": (1000, 2800),
    "epidermis": (1230, 2100),
    "epidermis above": (1150, 900),
    "strand": (520, 1060),
    "right edge": (1700, 2700),
}
CMU_GLASS = {
    "lower left": (250, 2200),
    "upper left": (400, 400),
    "right": (2000, 2500),
    "between the arms at the top": (1290, 500),
    "teal ink, upper left corner": (20, 85),
    "teal debris on the right": (2095, 610),
    "black speck": (2065, 2195),
}
TCGA_TISSUE = {
    "left lobe": (900, 1500),
    "middle": (2100, 900),
    "right": (3000, 2300),
    "arm at the top": (3340, 400),
    "stroma": (2600, 2750),
}
TCGA_GLASS = {
    "pure white": (400, 200),
    "greyish glass of the mosaic": (600, 600),
    "border of the mosaic": (385, 520),
    "greyish glass at the bottom": (1500, 3350),
    "triangular hole": (2830, 2080),
    "border at the lower left": (385, 2700),
}


def check(mask: slides.TissueMask, places: dict[str, Any], *, tissue: bool) -> None:
    for name, (x, y) in places.items():
        share = mask.covered(x - 20, y - 20, 40)
        assert share > 0.95 if tissue else share < 0.05, (name, share)


def test_cmu(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        mask = slides.tissue_mask(slide)
    assert 0.33 < mask.fraction < 0.41
    check(mask, CMU_TISSUE, tissue=True)
    check(mask, CMU_GLASS, tissue=False)


def test_tcga(tcga_slide_path: Path) -> None:
    with slides.open_slide(tcga_slide_path) as slide:
        mask = slides.tissue_mask(slide)
    assert 0.60 < mask.fraction < 0.67
    check(mask, TCGA_TISSUE, tissue=True)
    check(mask, TCGA_GLASS, tissue=False)


def test_dicom_of_the_same_region(shared_data: Path, cmu_slide_path: Path) -> None:
    path = shared_data / "slides" / "az_cmu1_small_region_1.dcm"
    with slides.open_slide(path) as one, slides.open_slide(cmu_slide_path) as other:
        a, b = slides.tissue_mask(one), slides.tissue_mask(other)
    assert (a.mask == b.mask).mean() > 0.98


def test_grey_glass_with_dust(shared_data: Path) -> None:
    """A lymph node whose glass is grey-blue and dusty, at 29 um a pixel."""
    path = shared_data / "slides" / "camelyon_multiframe_jpeg.dcm"
    with slides.open_slide(path) as slide:
        mask = slides.tissue_mask(slide)
    assert 0.2 < mask.fraction < 0.3
    assert mask.covered(150, 280, 10) == 1
    assert mask.covered(375, 0, 20) == 0  # dust out of focus
    assert mask.covered(600, 300, 40) == 0


def test_drawn(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        mask = slides.tissue_mask(slide)
    assert 0.2 < mask.fraction < 0.6
    assert mask.covered(700, 500, 100) == 1
    assert mask.covered(0, 0, 100) == 0


@pytest.mark.parametrize(
    ("colour", "expected"),
    [
        ((255, 255, 255), 0.0),
        ((243, 243, 243), 0.0),
        ((229, 226, 233), 0.0),  # grey-blue glass
        ((240, 232, 238), 0.0),  # pink glass
        ((60, 60, 60), 0.0),  # a shadow, the edge of a coverslip
        ((0, 140, 130), 0.0),  # teal ink
        ((215, 130, 175), 1.0),
        ((110, 70, 150), 1.0),
        ((150, 100, 70), 1.0),  # DAB
    ],
)
def test_slides_of_one_kind(
    write_pyramid: Any, colour: tuple[int, int, int], expected: float
) -> None:
    """All glass has no tissue and all tissue no glass; Otsu would part noise too."""
    rng = np.random.default_rng(0)
    pixels = np.array(colour) + rng.normal(0, 3, (600, 900, 3))
    path = write_pyramid("one.tif", np.clip(pixels, 0, 255).astype(np.uint8), mpp=0.5)
    with slides.open_slide(path) as slide:
        assert slides.tissue_mask(slide).fraction == pytest.approx(expected, abs=0.01)


def test_specks_go_and_small_holes_close(write_pyramid: Any) -> None:
    pixels = np.full((3000, 3000, 3), 243, np.uint8)
    pixels[500:2000, 500:2000] = (210, 120, 170)
    pixels[1000:1050, 1000:1050] = 243  # a lumen of 25 um
    pixels[1500:1800, 1500:1800] = 243  # a hole of 150 um
    pixels[2500:2540, 2500:2540] = (210, 120, 170)  # a speck of 20 um
    with slides.open_slide(write_pyramid("holes.tif", pixels, mpp=0.5)) as slide:
        mask = slides.tissue_mask(slide)
    assert mask.covered(1000, 1000, 50) == 1
    assert mask.covered(1600, 1600, 100) == 0
    assert mask.covered(2450, 2450, 150) == 0
    assert mask.covered(500, 500, 400) > 0.98


def test_parameters_are_json(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        mask = slides.tissue_mask(slide)
    again = json.loads(json.dumps(mask.parameters))
    assert again == mask.parameters
    assert again["downsample"] == mask.downsample
    assert {"method", "threshold", "version"} <= set(again)


def test_mask_covers_the_slide(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        mask = slides.tissue_mask(slide)
        width, height = slide.dimensions
    rows, columns = mask.mask.shape
    assert columns - 1 < width / mask.downsample <= columns
    assert rows - 1 < height / mask.downsample <= rows


def test_covered_is_exact() -> None:
    """Against counting, on squares whose sides are no whole mask pixels."""
    rng = np.random.default_rng(0)
    bits = rng.random((20, 30)) < 0.4
    mask = slides.TissueMask(bits, 8.0, float(bits.mean()), {})
    fine = np.pad(np.kron(bits, np.ones((8, 8))), 200)
    for _ in range(50):
        x, y = int(rng.integers(-60, 260)), int(rng.integers(-60, 180))
        size = int(rng.integers(1, 120))
        expected = fine[y + 200 : y + 200 + size, x + 200 : x + 200 + size].mean()
        assert mask.covered(x, y, size) == pytest.approx(expected, abs=1e-9)


def test_covered_many_like_covered() -> None:
    bits = np.random.default_rng(1).random((9, 7)) < 0.5
    mask = slides.TissueMask(bits, 3.7, 0.5, {})
    places = [(-3.0, 2.5), (0.0, 0.0), (10.1, 11.9), (24.0, 30.0), (900.0, 900.0)]
    one_by_one = [mask.covered(x, y, 9.3) for x, y in places]
    np.testing.assert_allclose(mask.covered_many(places, 9.3), one_by_one)
    assert one_by_one[-1] == 0
