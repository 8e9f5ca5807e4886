"""The label can show a patient's name: it is read by name and never listed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest

from napari_pathfm import slides
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path


def test_label_is_not_listed(cmu_slide_path: Path) -> None:
    assert "label" in openslide.OpenSlide(cmu_slide_path).associated_images
    with slides.open_slide(cmu_slide_path) as slide:
        assert slide.associated == ("macro", "thumbnail")
        assert "label" not in repr(slide)


def test_label_is_read_when_asked_for(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        label = slide.read_associated("label")
    expected = openslide.OpenSlide(cmu_slide_path).associated_images["label"]
    np.testing.assert_array_equal(label, np.asarray(expected.convert("RGB")))


def test_other_associated_images(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path) as slide:
        assert slide.read_associated("thumbnail").shape == (768, 574, 3)


def test_absent_image_is_named_and_the_label_is_not(cmu_slide_path: Path) -> None:
    with (
        slides.open_slide(cmu_slide_path) as slide,
        pytest.raises(SlideError) as caught,
    ):
        slide.read_associated("portrait")
    assert "macro, thumbnail" in str(caught.value)
    assert "label" not in str(caught.value)


def test_views_are_made_of_the_slide_alone(
    cmu_slide_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither thumbnail nor pyramid nor mask touches an associated image."""
    with slides.open_slide(cmu_slide_path) as slide:

        def fail(name: str) -> None:
            raise AssertionError(name)

        monkeypatch.setattr(slide.reader, "read_associated", fail)
        slide.thumbnail(300)
        slide.pyramid()
        slides.tissue_mask(slide)


def test_tifffile_lists_none(cmu_slide_path: Path) -> None:
    with slides.open_slide(cmu_slide_path, backend="tifffile") as slide:
        assert slide.associated == ()
        assert len(slide.levels) == 1  # neither thumbnail nor label nor macro
        with pytest.raises(SlideError, match="label"):
            slide.read_associated("label")
