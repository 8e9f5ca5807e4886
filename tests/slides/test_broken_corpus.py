"""Every broken file ends in one clear line, or opens and says what it cannot read.

Each is looked at by a process of its own, in which a crash, a hang, an exception of
another kind or more than a gigabyte shows.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from broken_slides import CASES, write_good
from guarded import MEMORY, Guard, Look
from tiff_surgery import Surgery

from napari_pathfm import open_slide
from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork") or not os.path.exists("/proc/self/clear_refs"),
    reason="each file is looked at by a forked process, measured by /proc",
)


@pytest.fixture(scope="module")
def guard() -> Iterator[Guard]:
    with Guard() as one:
        yield one


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_good(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def wanted(good: dict[str, Path], guard: Guard) -> dict[str, dict[str, str]]:
    """Digests of the tiles of the good slides."""
    looks = {layout: guard.look(path) for layout, path in good.items()}
    for look in looks.values():
        assert look.end == "read"
        assert not look.broken
        assert look.digests
    return {layout: look.digests for layout, look in looks.items()}


def check(look: Look, path: Path) -> None:
    """What holds for every file, whatever was done to it."""
    assert look.end in ("refused", "read"), look.message
    said = [text for _, _, text in look.broken]
    said += [look.message] if look.end == "refused" else []
    for text in said:
        assert path.name in text
        assert ": " in text
        assert "\n" not in text
    assert look.peak < MEMORY


@pytest.mark.parametrize("name", CASES)
def test_broken(
    name: str,
    tmp_path: Path,
    good: dict[str, Path],
    guard: Guard,
    wanted: dict[str, dict[str, str]],
) -> None:
    case = CASES[name]
    surgery = Surgery(good[case.layout])
    case.do(surgery)
    path = surgery.save(tmp_path / f"broken-{good[case.layout].name}")
    look = guard.look(path)
    check(look, path)
    others = {
        place
        for place, digest in look.digests.items()
        if wanted[case.layout].get(place) != digest
    }
    if case.end == "refused":
        assert look.end == "refused"
    if case.end == "whole":
        assert look.digests == wanted[case.layout]
        assert not look.broken
    if case.end == "hurt":
        # What cannot be read is named by its place, and nothing else is wrong.
        assert look.end == "read"
        assert not others
        assert {(x, y) for x, y, _ in look.broken if x >= 0}
        for x, y, text in look.broken:
            if x >= 0:
                assert f"{x},{y}" not in look.digests
                assert "damaged at x=" in text


@pytest.mark.parametrize("layout", ["jpeg", "big", "ome", "strips", "svs"])
def test_cut_at_every_boundary(
    layout: str, tmp_path: Path, good: dict[str, Path]
) -> None:
    """A file that ends where something else should begin, or just before."""
    surgery = Surgery(good[layout])
    path = tmp_path / f"cut-{good[layout].name}"
    for at in surgery.boundaries():
        path.write_bytes(surgery.content[:at])
        with pytest.raises(SlideError) as caught:
            open_slide(path)
        assert path.name in str(caught.value)
        assert ": " in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("os.abort()", "SIGABRT"),
        ("raise KeyError('x')", "raised"),
        ("bytearray(2**31)", "raised"),  # more memory than it may have
        ("os._exit(3)", "exit 3"),
        ("signal.alarm(1); signal.pause()", "hung"),
    ],
)
def test_the_guard_tells_how_a_process_ends(
    good: dict[str, Path], code: str, end: str
) -> None:
    """The tests above would say nothing if these went unnoticed."""
    with Guard(before=f"import os, signal; {code}") as one:
        assert one.look(good["jpeg"]).end == end
