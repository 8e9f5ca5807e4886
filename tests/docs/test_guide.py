"""What the guide leaves to no one's memory: rooms, version, size of pictures."""

from __future__ import annotations

import pkgutil
import re

from blocks import ROOT

import napari_pathfm

# Rooms that a person enters by a window or a shell, not by import.
NOT_FOR_IMPORT = {"viewer", "cli"}


def test_every_room_has_a_page_of_reference():
    listed = (ROOT / "docs/reference/python.md").read_text(encoding="utf-8")
    for found in pkgutil.iter_modules(napari_pathfm.__path__):
        if found.name in NOT_FOR_IMPORT or found.name.startswith("_"):
            continue
        page = ROOT / "docs/reference" / f"{found.name}.md"
        assert f".. room:: napari_pathfm.{found.name}\n" in page.read_text("utf-8")
        assert f"({found.name}.md)" in listed
        assert f"\n{found.name}\n" in listed


def test_the_citation_has_the_version():
    told = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    found = re.search(r"^version: (.+)$", told, re.MULTILINE)
    assert found is not None
    assert found[1] == napari_pathfm.__version__
    assert told.count("https://arxiv.org/abs/") == 3


def test_pictures_are_small():
    sizes = {p.name: p.stat().st_size for p in (ROOT / "docs/images").glob("*.png")}
    assert sizes
    assert {name: n for name, n in sizes.items() if n >= 300_000} == {}
