from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest

from napari_pathfm import slides
from napari_pathfm.errors import OutputError
from napari_pathfm.slides._fingerprint import fingerprint

if TYPE_CHECKING:
    from pathlib import Path


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_same_seed_same_file(tmp_path: Path) -> None:
    size = {"width": 400, "height": 300, "levels": 2}
    one = slides.draw_slide(tmp_path / "one.tif", seed=1, **size)
    again = slides.draw_slide(tmp_path / "again.tif", seed=1, **size)
    other = slides.draw_slide(tmp_path / "other.tif", seed=2, **size)
    assert digest(one) == digest(again)
    assert digest(one) != digest(other)
    with slides.open_slide(one) as a, slides.open_slide(again) as b:
        assert a.fingerprint == b.fingerprint
    with slides.open_slide(other) as c:
        assert c.fingerprint != a.fingerprint
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "again.tif",
        "one.tif",
        "other.tif",
    ]


def test_openslide_and_mpp(drawn_path: Path) -> None:
    assert openslide.OpenSlide.detect_format(drawn_path) == "generic-tiff"
    with slides.open_slide(drawn_path) as slide:
        assert slide.backend == "direct"
        assert slide.mpp == pytest.approx(0.5)
        assert slide.mpp_source == "file"
        assert slide.levels == (
            slides.Level(1500, 1100, 1.0),
            slides.Level(750, 550, 2.0),
        )


def test_levels_show_the_same(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        fine = slide.read(0, 0, 1500, 1100).astype(float)
        coarse = slide.read(0, 0, 750, 550, level=1)
    means = fine.reshape(550, 2, 750, 2, 3).mean(axis=(1, 3))
    assert np.abs(means - coarse).max() <= 0.5


def test_looks_like_a_stained_slide(drawn_path: Path) -> None:
    """Glass around; pink and violet within; nuclei dark and bluish."""
    with slides.open_slide(drawn_path) as slide:
        pixels = slide.thumbnail(1500).astype(int)
    border = np.concatenate([pixels[:20].reshape(-1, 3), pixels[:, :20].reshape(-1, 3)])
    assert np.abs(border - 243).max() <= 6
    red, green, blue = (pixels[..., i] for i in range(3))
    pink = (red > green + 40) & (red > blue)
    nuclei = (red < 110) & (blue > red) & (blue > green + 20)
    assert 0.08 < pink.mean() < 0.5
    assert 0.01 < nuclei.mean() < 0.15


def test_unwritable(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"slide\.tif cannot be written"):
        slides.draw_slide(tmp_path / "absent" / "slide.tif", width=100, height=100)


def test_fingerprint_is_of_content_alone(drawn_path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "moved and renamed.tif"
    copy.write_bytes(drawn_path.read_bytes())
    with slides.open_slide(drawn_path) as one, slides.open_slide(copy) as other:
        assert one.fingerprint == other.fingerprint
        assert len(one.fingerprint) == 32
        int(one.fingerprint, 16)
    for place in (0x40, -10):  # head and tail
        content = bytearray(drawn_path.read_bytes())
        content[place] ^= 1
        copy.write_bytes(content)
        assert fingerprint(copy, one.reader) != one.fingerprint
