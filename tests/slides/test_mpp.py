from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_pathfm import slides
from napari_pathfm.errors import MissingMppError, SlideError
from napari_pathfm.slides._mpp import missing_mpp_message, resolve_mpp

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import BackendName

PIXELS = np.full((300, 300, 3), 120, np.uint8)


def test_missing_mpp_says_what_to_do(tcga_slide_path: Path) -> None:
    with slides.open_slide(tcga_slide_path) as slide:
        assert slide.mpp is None
        assert slide.mpp_source is None
        with pytest.raises(MissingMppError) as caught:
            slide.require_mpp()
    assert str(caught.value) == (
        "TCGA-CR-7395-01A-01-TS1.svs does not state its pixel size (mpp): "
        "give it, for example --mpp 0.5"
    )


def test_users_mpp(tcga_slide_path: Path) -> None:
    with slides.open_slide(tcga_slide_path, mpp=0.5) as slide:
        assert slide.require_mpp() == 0.5
        assert slide.mpp_source == "user"


def test_users_mpp_takes_precedence(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path, mpp=0.25) as slide:
        assert slide.mpp == 0.25
        assert slide.mpp_source == "user"


@pytest.mark.parametrize(
    "mpp", [0, -0.5, 0.001, 101, float("nan"), float("inf"), "half", [1]]
)
def test_absurd_mpp(drawn_path: Path, mpp: Any) -> None:
    with pytest.raises(SlideError, match=r"mpp must be a number .* 0\.01 to 100"):
        slides.open_slide(drawn_path, mpp=mpp)
    with (
        slides.open_slide(drawn_path) as slide,
        pytest.raises(SlideError, match="mpp must be"),
    ):
        slide.sampling(mpp)


def test_derived_from_the_objective() -> None:
    assert resolve_mpp(None, None, 20.0) == (0.5, "objective")
    assert resolve_mpp(None, None, 40.0) == (0.25, "objective")
    assert resolve_mpp((0.4, 0.4), None, 20.0) == (pytest.approx(0.4), "file")
    assert resolve_mpp(None, 0.3, 20.0) == (0.3, "user")
    assert resolve_mpp(None, None, 1e9) == (None, None)
    assert resolve_mpp(None, None, None) == (None, None)


def test_nearly_square_pixels_have_their_geometric_mean() -> None:
    assert resolve_mpp((0.50, 0.505), None, None)[0] == pytest.approx(0.5024937)


def test_oblong_pixels_have_no_size_until_it_is_given() -> None:
    assert resolve_mpp((0.5, 0.25), None, 20.0) == (None, None)
    assert resolve_mpp((0.5, 0.25), 0.5, None) == (0.5, "user")
    message = missing_mpp_message("a.svs", (0.5, 0.25))
    assert message.startswith("a.svs")
    assert "0.5 x 0.25 um" in message


def test_objective_of_a_real_layout(tmp_path: Path) -> None:
    """An Aperio file that states its magnification and no pixel size."""
    path = tmp_path / "power.svs"
    tifffile.imwrite(
        path,
        PIXELS,
        tile=(256, 256),
        photometric="rgb",
        compression="zlib",
        description="Aperio Image Library v1\n300x300 (256x256)|AppMag = 40|Date = x",
        metadata=None,
    )
    for backend in ("openslide", "tifffile"):
        with slides.open_slide(path, backend=backend) as slide:  # type: ignore[arg-type]
            assert slide.vendor == "aperio"
            assert slide.objective == 40
            assert slide.mpp == 0.25
            assert slide.mpp_source == "objective"


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        (20_000, "CENTIMETER", 0.5),
        (10_000, "CENTIMETER", 1.0),
        (50_800, "INCH", 0.5),
        (72, "INCH", None),  # a printer's, 353 um
        (300, "INCH", None),
        (96, "CENTIMETER", None),
        (1e6, "CENTIMETER", None),  # 10 nm
        (1, "NONE", None),
    ],
)
def test_resolution_tags(
    tmp_path: Path,
    backend: BackendName,
    resolution: float,
    unit: str,
    expected: float | None,
) -> None:
    path = tmp_path / "tags.tif"
    tifffile.imwrite(
        path,
        PIXELS,
        tile=(256, 256),
        photometric="rgb",
        resolution=(resolution, resolution),
        resolutionunit=unit,
        metadata=None,
    )
    with slides.open_slide(path, backend=backend) as slide:
        assert slide.mpp == (None if expected is None else pytest.approx(expected))
        assert slide.mpp_source == (None if expected is None else "file")


def test_imagej(tmp_path: Path) -> None:
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(
        path, PIXELS, imagej=True, resolution=(4, 4), metadata={"unit": "um"}
    )
    with slides.open_slide(path) as slide:
        assert slide.mpp == pytest.approx(0.25)
