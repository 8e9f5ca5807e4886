"""What vendors' slides say of themselves, and what tells two of them apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hamamatsu_slides import write_ndpi, write_vms, write_vmu
from mirax_slides import write_mirax
from vendor_tiffs import Drawn, write_trestle, write_ventana
from written_slides import tissue

from napari_pathfm import slides
from napari_pathfm.errors import MissingMppError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STATED: dict[str, Callable[..., Drawn]] = {
    "a.vms": write_vms,
    "a.vmu": write_vmu,
    "a.mrxs": write_mirax,
    "a.bif": write_ventana,
    "a.tif": write_trestle,
    "a.ndpi": write_ndpi,
}


@pytest.mark.parametrize("name", STATED)
def test_pixel_size_that_is_stated_derived_or_asked_for(
    name: str, tmp_path: Path
) -> None:
    """SCN is left out: without lengths it is no slide for OpenSlide."""
    pixels = tissue(700, 900)

    def write(mpp: float, lens: int) -> Path:
        folder = tmp_path / f"{mpp} {lens}"
        folder.mkdir()
        return STATED[name](folder / name, pixels, mpp=mpp, lens=lens).path

    with slides.open_slide(write(0.25, 40)) as slide:
        assert (slide.mpp, slide.mpp_source) == (pytest.approx(0.25), "file")
    with slides.open_slide(write(0, 20)) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.5, "objective")
    if name == "a.ndpi":
        return  # without an objective a page is no level
    path = write(0, 0)
    with slides.open_slide(path) as slide:
        assert (slide.mpp, slide.mpp_source) == (None, None)
        with pytest.raises(MissingMppError) as caught:
            slides.tile_grid(slide)
        assert str(caught.value) == (
            f"{name} does not state its pixel size (mpp): give it, for example "
            "--mpp 0.5"
        )
    with slides.open_slide(path, mpp=0.3) as slide:
        assert (slide.mpp, slide.mpp_source) == (0.3, "user")


@pytest.mark.parametrize(
    ("write", "name"),
    [(write_vms, "a.vms"), (write_vmu, "a.vmu"), (write_mirax, "a.mrxs")],
)
def test_two_slides_of_one_name_are_told_apart(
    tmp_path: Path, write: Callable[..., Drawn], name: str
) -> None:
    """The file that is given is the same, byte for byte."""
    prints, heads = set(), set()
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        drawn = write(folder / name, tissue(700, 900, seed))
        heads.add(drawn.path.read_bytes())
        with slides.open_slide(drawn.path) as slide:
            prints.add(slide.fingerprint)
    assert len(heads) == 1
    assert len(prints) == 2
