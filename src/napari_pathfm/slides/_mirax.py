"""Check that the data files of a MIRAX slide are all there, each as long as it must be.

OpenSlide looks into them only for the pictures that it reads, so that a slide copied by
half opens, and fails when somebody pans into what is missing.
"""

from __future__ import annotations

import configparser
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    Ends = dict[int, int]

_ZOOM = "Slide zoom level"
_VERSION = b"01.02"


class _Circle(Exception):
    """The index leads back to where it has been; OpenSlide would follow it for ever."""


def mirax_problem(path: Path) -> str | None:
    """Say which file of a slide is missing or cut short, or None.

    Parameters
    ----------
    path : Path
        The ``.mrxs`` file. What OpenSlide sees itself when it opens the slide, a
        damaged ``Slidedat.ini`` or index, is left to it.

    Returns
    -------
    str or None
        A clause without a subject, fit for an error message.
    """
    folder = path.with_suffix("")
    facts = configparser.ConfigParser(strict=False, interpolation=None)
    try:
        facts.read_string((folder / "Slidedat.ini").read_text("utf-8-sig"))
        count = facts.getint("DATAFILE", "FILE_COUNT")
        names = [facts.get("DATAFILE", f"FILE_{number}") for number in range(count)]
        index = (folder / facts.get("HIERARCHICAL", "INDEXFILE")).read_bytes()
        start = len(_VERSION) + len(facts.get("GENERAL", "SLIDE_ID"))
        ends = _ends(index, start, _zoom_levels(facts["HIERARCHICAL"]))
    except _Circle:
        return "is damaged: its index runs in a circle"
    except (OSError, ValueError, KeyError, configparser.Error):
        return None
    for number, need in sorted(ends.items()):
        if not 0 <= number < len(names):
            continue
        name = f"{folder.name}/{names[number]}"
        try:
            size = (folder / names[number]).stat().st_size
        except OSError:
            return f"is incomplete: its file {name} is missing"
        if size < need:
            return (
                f"is truncated: its file {name} should have at least {need} bytes and "
                f"has {size}"
            )
    return None


def mirax_parts(path: Path) -> list[Path]:
    """List the files of a slide beside the ``.mrxs`` file itself; none of any other."""
    folder = path.with_suffix("")
    if path.suffix.lower() != ".mrxs" or not folder.is_dir():
        return []
    return sorted(file for file in folder.iterdir() if file.is_file())


def _zoom_levels(facts: configparser.SectionProxy) -> int:
    for number in range(int(facts["HIER_COUNT"])):
        if facts[f"HIER_{number}_NAME"] == _ZOOM:
            return int(facts[f"HIER_{number}_COUNT"])
    return 0


def _ends(index: bytes, start: int, levels: int) -> Ends:
    """Find where the last picture in each data file ends, by the file's number.

    The index is one of 32-bit numbers: a root leads to one list a level, and a list is
    of pages, each with its count, the next page's place, and records of ``(picture,
    offset, length, file)``.
    """

    def numbers(at: int, count: int) -> NDArray[np.int64]:
        if at < 0 or count < 0:
            raise ValueError("the index points before its beginning")
        return np.frombuffer(index, "<i4", count, at).astype(np.int64)

    ends: Ends = {}
    root = int(numbers(start, 1)[0])
    seen = set[int]()
    for head in numbers(root, levels).tolist():
        page = int(numbers(head + 4, 1)[0])
        while page:
            if page in seen:
                raise _Circle
            seen.add(page)
            count, following = numbers(page, 2).tolist()
            records = numbers(page + 8, 4 * count).reshape(-1, 4)
            for number in np.unique(records[:, 3]).tolist():
                mine = records[records[:, 3] == number]
                last = int((mine[:, 1] + mine[:, 2]).max())
                ends[number] = max(last, ends.get(number, 0))
            page = following
    return ends
