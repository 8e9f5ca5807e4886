"""Every vendor's format opens: on files that the tests write in its layout.

A layout is right where OpenSlide names the vendor and gives back what was drawn; what
we make of the file is then compared with both.
"""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import openslide
import pytest
from hamamatsu_slides import write_ndpi, write_vms, write_vmu
from mirax_slides import LABEL, write_mirax
from vendor_tiffs import GLASS, Drawn, write_leica, write_trestle, write_ventana
from written_slides import tissue

from napari_pathfm import slides
from napari_pathfm.cli import main
from napari_pathfm.slides._colour import composite_on_white

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pixels = NDArray[np.uint8]

# JPEG at quality 95 with half the colours, of a picture full of noise.
LOSSY = 5.0
PAGES = "OpenSlide (its levels are no plain pages of a TIFF)"
OTHER = "OpenSlide (no TIFF whose tiles can be found)"


@dataclass(frozen=True)
class Case:
    """How a file is written, and what it must be."""

    write: Callable[[Path, Pixels], Drawn]
    name: str
    vendor: str
    mpp: float = 0.46
    reading: str = PAGES
    associated: tuple[str, ...] = ("macro",)
    lossless: bool = False
    #: Levels that OpenSlide makes beyond those that were drawn.
    more: int = 0


PLAIN = "tiles decoded directly"
MIRAX = partial(
    Case,
    vendor="mirax",
    reading=OTHER,
    associated=("macro", "thumbnail"),
)
NDPI = partial(Case, vendor="hamamatsu", more=2)
CASES = {
    "trestle": Case(
        partial(write_trestle, lossless=True), "a.tif", "trestle", lossless=True
    ),
    "trestle jpeg": Case(partial(write_trestle, lossless=False), "a.tif", "trestle"),
    "trestle without overlap": Case(
        partial(write_trestle, overlaps=((0, 0),) * 3),
        "a.tif",
        "trestle",
        reading=PLAIN,
        lossless=True,
    ),
    "leica": Case(write_leica, "a.scn", "leica", 0.5, lossless=True),
    "leica jpeg": Case(partial(write_leica, lossless=False), "a.scn", "leica", 0.5),
    "leica, one region": Case(
        partial(write_leica, regions=((200, 160, 592, 440),)),
        "a.scn",
        "leica",
        0.5,
        lossless=True,
    ),
    "ventana": Case(write_ventana, "a.bif", "ventana", 0.465, lossless=True),
    "ventana jpeg": Case(
        partial(write_ventana, lossless=False), "a.bif", "ventana", 0.465
    ),
    "ventana without overlap": Case(
        partial(write_ventana, overlap=(0, 0)),
        "a.bif",
        "ventana",
        0.465,
        reading=PLAIN,
        lossless=True,
    ),
    "ventana tiff": Case(
        partial(write_ventana, overlap=(0, 0), stitched=False, lossless=False),
        "a.tif",
        "ventana",
        0.465,
        reading=PLAIN,
    ),
    "ventana of two regions": Case(
        partial(write_ventana, regions=((0, 0, 3, 2), (4, 2, 3, 3))),
        "a.bif",
        "ventana",
        0.465,
        lossless=True,
    ),
    "ventana of two regions without overlap": Case(
        partial(write_ventana, overlap=(0, 0), regions=((0, 0, 3, 2), (4, 2, 3, 3))),
        "a.bif",
        "ventana",
        0.465,
        reading="OpenSlide (decoded directly, its pixels differ by",
        lossless=True,
    ),
    "ndpi": NDPI(write_ndpi, "a.ndpi"),
    "ndpi without starts": NDPI(
        partial(write_ndpi, starts=False),
        "a.ndpi",
        reading="OpenSlide (no tiled RGB TIFF)",
    ),
    "vms": Case(write_vms, "a.vms", "hamamatsu", reading=OTHER, more=3),
    "vms without starts": Case(
        partial(write_vms, optimised=False),
        "a.vms",
        "hamamatsu",
        reading=OTHER,
        more=3,
    ),
    "vmu": Case(
        write_vmu, "a.vmu", "hamamatsu", reading=OTHER, associated=(), lossless=True
    ),
    "mirax": MIRAX(write_mirax, "a.mrxs", lossless=True),
    "mirax of two files": MIRAX(partial(write_mirax, files=2), "a.mrxs", lossless=True),
    "mirax jpeg": MIRAX(partial(write_mirax, lossless=False), "a.mrxs"),
    "mirax without positions": MIRAX(
        partial(write_mirax, positions=False), "a.mrxs", lossless=True
    ),
}
if sys.platform != "win32":  # where the empty part would be written out
    CASES["ndpi beyond 4 GiB"] = NDPI(partial(write_ndpi, gap=5 * 2**30), "a.ndpi")


@pytest.fixture(scope="module", params=CASES)
def written(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Case, Drawn]]:
    case = CASES[request.param]
    folder = tmp_path_factory.mktemp("vendor")
    yield case, case.write(folder / case.name, tissue(700, 900))
    shutil.rmtree(folder)


def test_what_it_is(written: tuple[Case, Drawn]) -> None:
    case, drawn = written
    judge = openslide.OpenSlide(drawn.path)
    assert judge.properties["openslide.vendor"] == case.vendor
    with slides.open_slide(drawn.path) as slide:
        assert slide.vendor == case.vendor
        assert slide.reading.startswith(case.reading)
        assert slide.backend == ("direct" if case.reading == PLAIN else "openslide")
        assert slide.mpp == pytest.approx(case.mpp, rel=1e-4)
        assert slide.mpp_source == "file"
        assert slide.objective == 20
        sizes = [(level.width, level.height) for level in slide.levels]
        assert sizes == list(judge.level_dimensions)
        assert sizes[: len(sizes) - case.more] == [
            level.shape[1::-1] for level in drawn.levels
        ]
        downsamples = [level.downsample for level in slide.levels]
        assert downsamples == list(judge.level_downsamples)


def test_pixels_are_what_was_drawn(written: tuple[Case, Drawn]) -> None:
    case, drawn = written
    with slides.open_slide(drawn.path) as slide:
        for level, pixels in enumerate(drawn.levels):
            height, width = pixels.shape[:2]
            found = slide.read(0, 0, width, height, level=level)
            if case.lossless:
                np.testing.assert_array_equal(found, pixels)
            else:
                wrong = np.abs(found.astype(int) - pixels)
                # Not in any one place either, where a tile could have been misplaced.
                blocks = wrong[: height // 8 * 8, : width // 8 * 8].reshape(
                    height // 8, 8, width // 8, 8, 3
                )
                assert wrong.mean() < LOSSY
                assert blocks.mean(axis=(1, 3, 4)).max() < 4 * LOSSY


def test_pixels_are_openslides(written: tuple[Case, Drawn]) -> None:
    _, drawn = written
    judge = openslide.OpenSlide(drawn.path)
    rng = np.random.default_rng(0)
    with slides.open_slide(drawn.path) as slide:
        for level in range(len(slide.levels)):
            for x, y in rng.integers(-60, 700, (5, 2)).tolist():
                wanted = composite_on_white(
                    np.asarray(judge.read_region((x, y), level, (90, 70)))
                ).astype(int)
                found = slide.read(x, y, 90, 70, level=level)
                assert np.abs(wanted - found).max() <= 2


def test_tiles_are_what_read_gives(written: tuple[Case, Drawn]) -> None:
    case, drawn = written
    with slides.open_slide(drawn.path) as slide:
        for mpp in (case.mpp, 2 * case.mpp, 3.1 * case.mpp):
            grid = slides.tile_grid(slide, px=80, mpp=mpp, tissue=False)
            seen = []
            for indices, tiles in slide.tiles(grid, batch=8):
                for index, tile in zip(indices.tolist(), tiles, strict=True):
                    x, y = grid.coords[index].tolist()
                    wanted = slide.read(x, y, 80, 80, mpp=mpp)
                    np.testing.assert_array_equal(tile, wanted)
                    seen.append(index)
            assert seen == list(range(len(grid)))


def test_pyramid(written: tuple[Case, Drawn]) -> None:
    _, drawn = written
    with slides.open_slide(drawn.path) as slide:
        levels = slide.pyramid()
        assert max(levels[-1].shape) <= 1024
        full = np.asarray(levels[0])
        height, width = full.shape[:2]
        np.testing.assert_array_equal(full, slide.read(0, 0, width, height))
        small = slide.thumbnail(150).astype(int)
        step = max(width, height) / 150
        rows, columns = (
            (np.arange(side) * step + step / 2).astype(int) for side in small.shape[:2]
        )
        # Noise and waves average out differently; another picture would not come near.
        picked = drawn.levels[0][rows][:, columns]
        assert np.abs(small - picked).mean() < 12


def test_label_and_glass_are_in_no_view(
    written: tuple[Case, Drawn], capsys: pytest.CaptureFixture[str]
) -> None:
    case, drawn = written
    with slides.open_slide(drawn.path) as slide:
        assert slide.associated == case.associated
        for name in slide.associated:
            picture = slide.read_associated(name).astype(int)
            assert np.abs(picture - GLASS[0, 0]).max() < 8
        if case.vendor == "mirax":
            label = slide.read_associated("label").astype(int)
            assert np.abs(label - LABEL[0, 0]).max() < 8
        for view in (slide.thumbnail(200), np.asarray(slide.pyramid()[-1])):
            red = view.astype(int)[..., 0] - view.astype(int)[..., 1]
            assert (red > 200).sum() == 0
    assert main(["info", str(drawn.path)]) == 0
    told = capsys.readouterr().out
    assert f"vendor       {case.vendor}" in told
    assert f"reading      {case.reading}" in told
    assert "label" not in told.lower()


def test_a_copy_is_the_same_slide(written: tuple[Case, Drawn], tmp_path: Path) -> None:
    _, drawn = written
    if drawn.path.stat().st_size > 2**30:
        copy = tmp_path / "copy.ndpi"
        copy.symlink_to(drawn.path)
    else:
        copy = shutil.copytree(drawn.path.parent, tmp_path / "copy") / drawn.path.name
    with slides.open_slide(drawn.path) as one, slides.open_slide(copy) as other:
        assert one.fingerprint == other.fingerprint
