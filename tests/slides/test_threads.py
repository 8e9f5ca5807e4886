"""One slide, many threads."""

from __future__ import annotations

import copy
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_pathfm import slides
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import BackendName


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_concurrent_reads_give_the_same_pixels(
    drawn_path: Path, backend: BackendName
) -> None:
    rng = np.random.default_rng(0)
    places = [tuple(map(int, rng.integers(-50, 1400, 2))) for _ in range(60)]
    with slides.open_slide(drawn_path, backend=backend) as slide:
        alone = [slide.read(x, y, 120, 90, mpp=0.7) for x, y in places]
    start = threading.Barrier(8)
    with slides.open_slide(drawn_path, backend=backend) as slide:

        def work(shift: int) -> None:
            start.wait()
            for i in range(len(places)):
                k = (i * 7 + shift) % len(places)
                region = slide.read(*places[k], 120, 90, mpp=0.7)
                np.testing.assert_array_equal(region, alone[k])

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_a_damaged_region_does_not_spoil_other_threads_reads(
    drawn_path: Path, tmp_path: Path, backend: BackendName
) -> None:
    import tifffile

    path = tmp_path / "hurt.tif"
    path.write_bytes(drawn_path.read_bytes())
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        offset, count = page.dataoffsets[0], page.databytecounts[0]
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * count)
    with slides.open_slide(drawn_path) as good:
        expected = good.read(600, 600, 100, 100)
    with slides.open_slide(path, backend=backend) as slide:

        def work(number: int) -> None:
            for _ in range(15):
                if number % 2:
                    with pytest.raises(SlideError):
                        slide.read(0, 0, 20, 20)
                else:
                    np.testing.assert_array_equal(
                        slide.read(600, 600, 100, 100), expected
                    )

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(work, range(6)))


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_closing_under_readers(drawn_path: Path, backend: BackendName) -> None:
    """Readers get pixels or an error that says so; the interpreter lives."""
    for _ in range(5):
        slide = slides.open_slide(drawn_path, backend=backend)
        reading = threading.Barrier(5)

        def work(
            slide: slides.Slide = slide, reading: threading.Barrier = reading
        ) -> str:
            reading.wait()
            try:
                for i in range(1000):
                    slide.read(i % 900, i % 700, 300, 300)
            except SlideError as error:
                return str(error)
            return "never closed"

        with ThreadPoolExecutor(4) as pool:
            ends = [pool.submit(work) for _ in range(4)]
            reading.wait()
            slide.close()
            assert all("closed" in end.result() for end in ends)


def test_copies_share_the_file(drawn_path: Path) -> None:
    with slides.open_slide(drawn_path) as slide:
        assert copy.copy(slide) is slide
        assert copy.deepcopy(slide) is slide


def test_pickle_reopens(tcga_slide_path: Path) -> None:
    with (
        slides.open_slide(tcga_slide_path, mpp=0.4, backend="tifffile") as slide,
        pickle.loads(pickle.dumps(slide)) as other,
    ):
        assert other is not slide
        assert (other.mpp, other.mpp_source) == (0.4, "user")
        assert (other.backend, other.path) == ("tifffile", slide.path)
        np.testing.assert_array_equal(
            other.read(2000, 2000, 50, 50), slide.read(2000, 2000, 50, 50)
        )


def test_pickle_notices_another_file(drawn_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "slide.tif"
    path.write_bytes(drawn_path.read_bytes())
    with slides.open_slide(path) as slide:
        frozen = pickle.dumps(slide)
    slides.draw_slide(path, width=300, height=300, levels=1)
    with pytest.raises(SlideError, match="has changed"):
        pickle.loads(frozen)
