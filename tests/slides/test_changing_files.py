"""A file that changes while it is open shows no other slide's pixels."""

from __future__ import annotations

import os
import pickle
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest
from written_slides import halves, tissue, write_jpeg

from napari_pathfm import open_slide
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import BackendName

BACKENDS = ["direct", "openslide", "tifffile"]


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two slides of the same size and layout."""
    folder = tmp_path_factory.mktemp("two")
    return (
        write_jpeg(folder / "one.tif", halves(tissue(seed=1))),
        write_jpeg(folder / "other.tif", halves(tissue(seed=2))),
    )


@pytest.fixture
def path(tmp_path: Path, two: tuple[Path, Path]) -> Path:
    target = tmp_path / "slide.tif"
    shutil.copy(two[0], target)
    return target


@pytest.mark.parametrize("backend", BACKENDS)
def test_overwritten_in_place(
    path: Path, two: tuple[Path, Path], backend: BackendName
) -> None:
    with open_slide(path, backend=backend) as slide:
        slide.read(0, 0, 50, 50)
        path.write_bytes(two[1].read_bytes())
        with pytest.raises(SlideError, match=r"slide\.tif has changed.*open it again"):
            slide.read(300, 300, 200, 200)


@pytest.mark.parametrize("backend", BACKENDS)
def test_another_slide_takes_its_name(
    path: Path, two: tuple[Path, Path], backend: BackendName
) -> None:
    """What holds the file open goes on reading it; what opens it by name says so."""
    with open_slide(two[0]) as slide:
        wanted = slide.read(300, 300, 200, 200)
    with open_slide(path, backend=backend) as slide:
        newcomer = path.with_name("newcomer.tif")
        shutil.copy(two[1], newcomer)
        os.replace(newcomer, path)
        try:
            found = slide.read(300, 300, 200, 200)
        except SlideError as error:
            assert "slide.tif has changed since it was opened" in str(error)  # noqa: PT017
            assert backend == "openslide"
        else:
            np.testing.assert_array_equal(found, wanted)
        with pytest.raises(SlideError, match=r"slide\.tif has changed"):
            pickle.loads(pickle.dumps(slide))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_touched_file_stays_readable(path: Path, backend: BackendName) -> None:
    with open_slide(path, backend=backend) as slide:
        os.utime(path, (1, 1))
        assert slide.read(0, 0, 50, 50).shape == (50, 50, 3)
        os.utime(path, (2, 2))
        assert slide.read(300, 300, 50, 50).shape == (50, 50, 3)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shrunk_file_is_said_so(path: Path, backend: BackendName) -> None:
    with open_slide(path, backend=backend) as slide:
        os.truncate(path, path.stat().st_size // 3)
        with pytest.raises(SlideError, match=r"slide\.tif"):
            slide.read(0, 0, 600, 500)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_deleted_file_is_read_or_said_so(path: Path, backend: BackendName) -> None:
    with open_slide(path, backend=backend) as slide:
        wanted = slide.read(300, 300, 100, 100)
        path.unlink()
        try:
            np.testing.assert_array_equal(slide.read(300, 300, 100, 100), wanted)
        except SlideError as error:
            assert "slide.tif" in str(error)  # noqa: PT017 (either is right)
