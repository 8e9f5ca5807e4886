"""What is no slide, or half of one: one line that names the file and the way out."""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from napari_pathfm import slides
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.slides._levels import BackendName


def refused(path: Path, **options: Any) -> str:
    """Open a file in vain; the message."""
    with pytest.raises(SlideError) as caught:
        slides.open_slide(path, **options)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert ": " in message  # the way out
    return message


def test_missing(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.svs"
    assert refused(path) == f"{path} does not exist: check the path"


def test_path_as_text(drawn_path: Path) -> None:
    with slides.open_slide(str(drawn_path)) as slide:
        assert slide.path == drawn_path


def test_folder(tmp_path: Path) -> None:
    assert "is a folder without" in refused(tmp_path)


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.svs"
    path.touch()
    assert "is empty (0 bytes)" in refused(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_pipe_does_not_hang(tmp_path: Path) -> None:
    path = tmp_path / "pipe.svs"
    os.mkfifo(path)
    assert "no regular file" in refused(path)


def test_link_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "loop.svs"
    path.symlink_to(path)
    assert "leads back to itself" in refused(path)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything"
)
def test_no_permission(tmp_path: Path, drawn_path: Path) -> None:
    path = tmp_path / "secret.tif"
    shutil.copy(drawn_path, path)
    path.chmod(0)
    assert "may not be read" in refused(path)


def test_permission_error(drawn_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for root, for whom no file is closed."""

    def refuse(self: Path, *rest: Any, **options: Any) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(drawn_path), "open", refuse)
    assert "may not be read" in refused(drawn_path)


def test_nul_in_the_path() -> None:
    with pytest.raises(SlideError, match="cannot be read"):
        slides.open_slide("a\0b.svs")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
        (b"%PDF-1.7\n" + bytes(100), "a PDF document"),
        (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
        (b"hello, I am no slide\n" * 50, "no slide that we can read"),
        (b"I", "no slide that we can read"),
        (bytes(5000), "no slide that we can read"),
    ],
)
@pytest.mark.parametrize("backend", [None, "openslide", "tifffile"])
def test_not_a_slide(
    tmp_path: Path, content: bytes, what: str, backend: BackendName | None
) -> None:
    path = tmp_path / "other.svs"
    path.write_bytes(content)
    message = refused(path, backend=backend)
    if backend != "openslide":
        assert what in message


def test_unknown_backend(drawn_path: Path) -> None:
    with pytest.raises(SlideError, match="openslide or tifffile"):
        slides.open_slide(drawn_path, backend="bioformats")  # type: ignore[arg-type]


# Truncated slides.


def cut(source: Path, target: Path, share: float) -> Path:
    content = source.read_bytes()
    target.write_bytes(content[: int(len(content) * share)])
    return target


SHARES = [0.0001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 0.9999]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("backend", [None, "tifffile"])
def test_truncated_cmu(
    cmu_slide_path: Path, tmp_path: Path, share: float, backend: BackendName | None
) -> None:
    message = refused(cut(cmu_slide_path, tmp_path / "cut.svs", share), backend=backend)
    if share >= 0.001:
        assert "is truncated" in message


@pytest.mark.parametrize("share", SHARES)
def test_truncated_tcga(tcga_slide_path: Path, tmp_path: Path, share: float) -> None:
    refused(cut(tcga_slide_path, tmp_path / "cut.svs", share))


@pytest.mark.parametrize("share", SHARES)
def test_truncated_drawn(drawn_path: Path, tmp_path: Path, share: float) -> None:
    refused(cut(drawn_path, tmp_path / "cut.tif", share))


@pytest.mark.parametrize("share", SHARES)
def test_truncated_bigtiff(tmp_path: Path, share: float) -> None:
    path = tmp_path / "whole.tif"
    noise = np.random.default_rng(0).integers(0, 255, (600, 600, 3), np.uint8)
    tifffile.imwrite(path, noise, tile=(256, 256), photometric="rgb", bigtiff=True)
    refused(cut(path, tmp_path / "cut.tif", share))


@pytest.mark.parametrize("share", [0.0005, 0.01, 0.3, 0.7, 0.99])
def test_truncated_dicom(shared_data: Path, tmp_path: Path, share: float) -> None:
    """At open, or where the missing part is read; never white tissue."""
    whole = shared_data / "slides" / "az_cmu1_small_region_1.dcm"
    path = cut(whole, tmp_path / "cut.dcm", share)
    with pytest.raises(SlideError) as caught:
        slides.open_slide(path).thumbnail()
    assert "cut.dcm" in str(caught.value)
    assert "\n" not in str(caught.value)


# Damaged in one place.


def damage(source: Path, target: Path, tile: int) -> tuple[int, int]:
    """Overwrite one tile of level 0; its ``(x, y)``."""
    shutil.copy(source, target)
    with tifffile.TiffFile(target) as tif:
        page = tif.pages.first
        offset, count = page.dataoffsets[tile], page.databytecounts[tile]
        across = -(-page.imagewidth // page.tilewidth)
        place = tile % across * page.tilewidth, tile // across * page.tilelength
    with target.open("r+b") as file:
        file.seek(offset)
        file.write(b"\x5a" * count)
    return place


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_one_damaged_tile_leaves_the_others_readable(
    drawn_path: Path, tmp_path: Path, backend: BackendName
) -> None:
    path = tmp_path / "hurt.tif"
    x, y = damage(drawn_path, path, 8)
    with (
        slides.open_slide(drawn_path) as good,
        slides.open_slide(path, backend=backend) as slide,
    ):
        for _ in range(3):
            with pytest.raises(
                SlideError, match=rf"hurt\.tif.*x={x}, y={y} "
            ) as caught:
                slide.read(x, y, 50, 50)
            assert "\n" not in str(caught.value)
            np.testing.assert_array_equal(
                slide.read(x - 200, y, 200, 200), good.read(x - 200, y, 200, 200)
            )


def test_file_that_vanishes(drawn_path: Path, tmp_path: Path) -> None:
    """An open file stays readable where the system allows it to be deleted."""
    path = tmp_path / "gone.tif"
    shutil.copy(drawn_path, path)
    with slides.open_slide(path) as slide:
        path.unlink()
        with contextlib.suppress(SlideError):
            slide.read(0, 0, 50, 50)


@pytest.mark.parametrize("backend", ["openslide", "tifffile"])
def test_file_that_shrinks(
    drawn_path: Path, tmp_path: Path, backend: BackendName
) -> None:
    path = tmp_path / "shrinks.tif"
    shutil.copy(drawn_path, path)
    with slides.open_slide(path, backend=backend) as slide:
        os.truncate(path, 5000)
        with pytest.raises(SlideError, match=r"shrinks\.tif"):
            slide.read(500, 500, 300, 300)


# Forged directories.


def forge(path: Path, tag: str, value: int, index: int = 0) -> None:
    """Overwrite one value of a tag of the first page."""
    with tifffile.TiffFile(path) as tif:
        found = tif.pages.first.tags[tag]
        offset, size = found.valueoffset, 2 if found.dtype == 3 else 4
    with path.open("r+b") as file:
        file.seek(offset + index * size)
        file.write(struct.pack("<H" if size == 2 else "<I", value))


@pytest.mark.parametrize("backend", [None, "openslide", "tifffile"])
@pytest.mark.parametrize(
    ("tag", "value"),
    [("TileOffsets", 2**32 - 10), ("TileByteCounts", 2**32 - 1)],
)
def test_tiles_beyond_the_end(
    drawn_path: Path, tmp_path: Path, tag: str, value: int, backend: BackendName | None
) -> None:
    path = tmp_path / "forged.tif"
    shutil.copy(drawn_path, path)
    forge(path, tag, value, index=3)
    assert "truncated" in refused(path, backend=backend)


def test_directories_in_a_circle(drawn_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "circle.tif"
    shutil.copy(drawn_path, path)
    with tifffile.TiffFile(path) as tif:
        pages = [tif.pages[0].offset, tif.pages[1].offset]
    with path.open("r+b") as file:
        file.seek(pages[1])
        (entries,) = struct.unpack("<H", file.read(2))
        file.seek(pages[1] + 2 + 12 * entries)
        file.write(struct.pack("<I", pages[0]))
    assert "circle" in refused(path)


def test_a_poisoned_handle_is_replaced_once(
    drawn_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an error all reading goes on through one fresh handle."""
    path = tmp_path / "hurt.tif"
    x, y = damage(drawn_path, path, 8)
    with slides.open_slide(path, backend="openslide") as slide:
        with pytest.raises(SlideError):
            slide.read(x, y, 50, 50)

        def fail() -> None:
            raise AssertionError("opened again")

        monkeypatch.setattr(slide.reader, "_open", fail)
        for _ in range(3):
            assert slide.read(x - 200, y, 50, 50).shape == (50, 50, 3)
