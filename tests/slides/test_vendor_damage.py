"""Vendors' slides that are cut short, or of which a part is missing: one clear line."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hamamatsu_slides import restarting, write_ndpi, write_vms, write_vmu
from mirax_slides import write_mirax
from vendor_tiffs import Drawn, write_leica, write_trestle, write_ventana
from written_slides import tissue

from napari_pathfm import slides
from napari_pathfm.cli import main
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIXELS = tissue(700, 900)
SINGLE: dict[str, Callable[..., Drawn]] = {
    "a.ndpi": write_ndpi,
    "a.scn": write_leica,
    "a.bif": write_ventana,
    "a.tif": write_trestle,
}


def refused(path: Path, because: str) -> None:
    """Check that a file is refused in one line that names it and says `because`."""
    with pytest.raises(SlideError, match=because) as caught:
        slides.open_slide(path)
    said = str(caught.value)
    assert said.startswith(path.name)
    assert ": " in said
    assert "\n" not in said


def cut(path: Path, share: float) -> None:
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


@pytest.mark.parametrize("share", [0.01, 0.3, 0.7, 0.9999])
@pytest.mark.parametrize("name", SINGLE)
def test_one_file_that_is_cut_short(tmp_path: Path, name: str, share: float) -> None:
    drawn = SINGLE[name](tmp_path / name, PIXELS)
    cut(drawn.path, share)
    refused(drawn.path, "is truncated.*copy it again from its source")


@pytest.mark.parametrize("share", [0.2, 0.4, 0.7, 0.95])
def test_ndpi_that_is_cut_short_after_its_directories(
    tmp_path: Path, share: float
) -> None:
    drawn = write_ndpi(tmp_path / "a.ndpi", PIXELS, gap=2**15, ahead=True)
    slides.open_slide(drawn.path).close()
    cut(drawn.path, share)
    refused(drawn.path, "damaged or incomplete.*copy it again from its source")


def test_what_the_shell_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS, files=2)
    (tmp_path / "a" / "Data0001.dat").unlink()
    assert main(["info", str(drawn.path)]) != 0
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    assert "a.mrxs is incomplete: its file a/Data0001.dat is missing" in told.err


@pytest.mark.parametrize(
    ("write", "name", "part"),
    [
        (write_mirax, "a.mrxs", "a/Data0001.dat"),
        (write_vms, "a.vms", "a(1,1).jpg"),
        (write_vmu, "a.vmu", "a.ngr"),
    ],
)
def test_a_part_that_changes_while_the_slide_is_open(
    tmp_path: Path, write: Callable[..., Drawn], name: str, part: str
) -> None:
    """Another slide's file takes its place, and no pixel of that one shows."""
    options = {"files": 2} if name == "a.mrxs" else {}
    for folder, pixels in (("one", PIXELS), ("other", tissue(700, 900, 9))):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, pixels, **options)
    target, other = tmp_path / "one" / part, tmp_path / "other" / part
    with slides.open_slide(tmp_path / "one" / name) as slide:
        wanted = slide.read(0, 0, *slide.dimensions)
        os.utime(target, (1, 1))
        np.testing.assert_array_equal(slide.read(0, 0, *slide.dimensions), wanted)
        os.replace(other, target)
        with pytest.raises(SlideError) as caught:
            slide.read(0, 0, 50, 50)
    assert str(caught.value) == (
        f"{name} (its file {target.name}) has changed since it was opened: open it "
        "again"
    )


# ------------------------------------------------------------------------------ MIRAX


def test_mirax_without_its_folder(tmp_path: Path) -> None:
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS)
    (tmp_path / "a").rename(tmp_path / "b")
    # It is a JPEG of all of the glass, and must not be shown as the slide.
    for backend in (None, "openslide", "picture"):
        with pytest.raises(SlideError, match=r"a\.mrxs .* folder a .*copy both"):
            slides.open_slide(drawn.path, backend=backend)


@pytest.mark.parametrize(
    "lost", ["Index.dat", "Slidedat.ini", "Data0000.dat", "Data0001.dat"]
)
def test_mirax_that_lacks_a_file(tmp_path: Path, lost: str) -> None:
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS, files=2)
    (tmp_path / "a" / lost).unlink()
    refused(drawn.path, f"{lost}.*copy")


@pytest.mark.parametrize("lost", ["Index.dat", "Slidedat.ini", "Data0001.dat"])
@pytest.mark.parametrize("share", [0, 0.5, 0.9999])
def test_mirax_of_which_a_file_is_cut_short(
    tmp_path: Path, lost: str, share: float
) -> None:
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS, files=2)
    cut(tmp_path / "a" / lost, share)
    if lost == "Slidedat.ini" and share > 0.9:
        return  # its last character
    because = "its file a/Data0001.dat should have" if "Data" in lost else "damaged"
    refused(drawn.path, f"{because}.*copy it again")


@pytest.mark.parametrize("at", [0, 4, 5, 37, 41, 60, 90, 200])
@pytest.mark.parametrize("value", [-1, 45, 2**31 - 1])
def test_mirax_whose_index_is_damaged(tmp_path: Path, at: int, value: int) -> None:
    """It is refused, or opens and says what it cannot read; and it comes to an end."""
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS)
    index = tmp_path / "a" / "Index.dat"
    content = bytearray(index.read_bytes())
    content[at : at + 4] = value.to_bytes(4, "little", signed=True)
    index.write_bytes(content)
    with contextlib.suppress(SlideError), slides.open_slide(drawn.path) as slide:
        slide.read(0, 0, *slide.dimensions)


def test_mirax_whose_index_runs_in_a_circle(tmp_path: Path) -> None:
    """OpenSlide would go round for ever."""
    drawn = write_mirax(tmp_path / "a.mrxs", PIXELS)
    index = tmp_path / "a" / "Index.dat"
    content = bytearray(index.read_bytes())

    def number(at: int) -> int:
        return int(struct.unpack_from("<i", content, at)[0])

    page = number(number(number(37)) + 4)
    following = number(page + 4)
    assert number(following + 4) == 0  # the last page of the first level
    struct.pack_into("<i", content, following + 4, page)
    index.write_bytes(content)
    refused(drawn.path, "its index runs in a circle: copy it again")


# -------------------------------------------------------------------------- Hamamatsu


@pytest.mark.parametrize("damage", ["lost", "wider", "taller", "no picture", "cut"])
def test_vms_whose_pictures_do_not_fit(tmp_path: Path, damage: str) -> None:
    """OpenSlide would end the program at the larger ones."""
    drawn = write_vms(tmp_path / "a.vms", PIXELS)
    last, first = tmp_path / "a(1,0).jpg", tmp_path / "a(0,0).jpg"
    if damage == "lost":
        last.unlink()
    elif damage == "wider":
        first.write_bytes(last.read_bytes())
        shutil.copy(tmp_path / "a(0,1).jpg", last)
    elif damage == "taller":
        content = restarting(tissue(512, 512)).content
        (tmp_path / "a(0,1).jpg").write_bytes(content)
    elif damage == "cut":
        cut(last, 0.9)
    else:
        last.write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF")
    refused(drawn.path, "copy it again")


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9999])
@pytest.mark.parametrize(
    ("write", "name", "part"),
    [
        (write_vms, "a.vms", "a_map2.jpg"),
        (write_vmu, "a.vmu", "a.ngr"),
        (write_vmu, "a.vmu", "a_map.ngr"),
    ],
)
def test_hamamatsu_of_which_a_file_is_cut_short(
    tmp_path: Path, write: Callable[..., Drawn], name: str, part: str, share: float
) -> None:
    drawn = write(tmp_path / name, PIXELS)
    cut(tmp_path / part, share)
    refused(drawn.path, f"{part}.*copy it again")


@pytest.mark.parametrize("name", ["a.vms", "a.vmu"])
def test_key_file_of_which_a_line_is_missing(tmp_path: Path, name: str) -> None:
    """OpenSlide would end the program at some."""
    write = {"a.vms": write_vms, "a.vmu": write_vmu}[name]
    drawn = write(tmp_path / name, PIXELS)
    lines = drawn.path.read_text().splitlines()
    needed = {"[", "ImageFile", "MapFile"}
    needed |= {"PixelOrder", "BitsPerPixel"} if name == "a.vmu" else set()
    for number, line in enumerate(lines):
        drawn.path.write_text("\n".join(lines[:number] + lines[number + 1 :]))
        if any(line.startswith(key) for key in needed):
            refused(drawn.path, re.escape(name))
        elif line.startswith(("Physical", "SourceLens", "NoLayers")):
            slides.open_slide(drawn.path).close()
        else:
            with contextlib.suppress(SlideError):
                slides.open_slide(drawn.path).close()


def test_vms_whose_table_of_tiles_is_wrong(tmp_path: Path) -> None:
    """One that is missing is made anew; one that lies makes no other picture."""
    drawn = write_vms(tmp_path / "a.vms", PIXELS)
    with slides.open_slide(drawn.path) as slide:
        good = slide.read(0, 0, *slide.dimensions)
    table = drawn.path.with_suffix(".opt")
    cut(table, 0.5)
    with slides.open_slide(drawn.path) as slide:
        np.testing.assert_array_equal(slide.read(0, 0, *slide.dimensions), good)
    table.write_bytes(bytes(2000))
    with (
        slides.open_slide(drawn.path) as slide,
        pytest.raises(SlideError, match=r"a\.vms is damaged at x=0, y=0"),
    ):
        slide.read(0, 0, *slide.dimensions)


# ------------------------------------------------------------------ Leica and Ventana


def test_leica_that_is_lit_otherwise(tmp_path: Path) -> None:
    drawn = write_leica(tmp_path / "a.scn", PIXELS, light="fluorescence")
    refused(
        drawn.path, r"no bright-field picture \(fluorescence\?\).*convert it to RGB"
    )


@pytest.mark.parametrize("side", ["column", "row"])
def test_ventana_of_one_column_or_row(tmp_path: Path, side: str) -> None:
    """OpenSlide opens it, and would read for ever."""
    shown: Any = tissue(150, 700) if side == "row" else tissue(700, 150)
    drawn = write_ventana(tmp_path / "a.bif", shown, overlap=(0, 0))
    refused(drawn.path, "convert it")
