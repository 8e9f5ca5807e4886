"""Which slides are meant: files, folders, patterns, and lists with pixel sizes."""

from __future__ import annotations

import csv
import glob
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# What is taken from a folder; a file that is named is tried whatever its suffix.
_SUFFIXES = (
    ".svs",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".bif",
    ".vms",
    ".vmu",
    ".svslide",
    ".tif",
    ".tiff",
)


@dataclass(frozen=True)
class SlideEntry:
    """A slide to be opened.

    Attributes
    ----------
    path : Path
        As `open_slide` takes it.
    mpp : float or None
        Micrometres per level-0 pixel, where it was given.
    """

    path: Path
    mpp: float | None = None


def slide_entries(
    inputs: Iterable[str | Path], *, mpp: float | None = None
) -> list[SlideEntry]:
    """Find the slides that files, folders, patterns and lists name.

    Parameters
    ----------
    inputs : iterable of str or path
        A slide; a folder, whose slides are taken with those of the folders in it; a
        pattern such as ``"study/**/*.svs"``; or a ``.csv`` with the columns ``slide``
        (relative to the list's own folder) and, optionally, ``mpp``.
    mpp : float, optional
        Pixel size of those for which a list gives none.

    Returns
    -------
    list of SlideEntry
        Each slide once, in the order given; the contents of folders sorted.

    Raises
    ------
    SlideError
        If a folder or pattern holds no slide, or a list is none. A single slide that
        does not exist is found out when it is opened.
    """
    found: dict[Path, SlideEntry] = {}
    for given in inputs:
        for entry in _expand(Path(given), mpp):
            found.setdefault(Path(os.path.abspath(entry.path)), entry)
    return list(found.values())


def _expand(given: Path, mpp: float | None) -> Iterator[SlideEntry]:
    if given.suffix.lower() == ".csv":
        yield from _listed(given, mpp)
    elif given.is_dir():
        paths = list(_in_folder(given))
        if not paths:
            raise SlideError(f"{given} holds no slide ({' '.join(_SUFFIXES)} .dcm)")
        yield from (SlideEntry(path, mpp) for path in paths)
    elif not given.exists() and glob.has_magic(str(given)):
        matches = sorted(glob.glob(str(given), recursive=True))
        if not matches:
            raise SlideError(f"nothing matches {given}: check the pattern")
        for match in map(Path, matches):
            if match.is_dir():
                yield from (SlideEntry(path, mpp) for path in _in_folder(match))
            else:
                yield SlideEntry(match, mpp)
    else:
        yield SlideEntry(given, mpp)


def _in_folder(folder: Path) -> Iterator[Path]:
    """Walk through a folder; one of DICOM files and an OME-Zarr are a slide each."""
    names = sorted(os.listdir(folder))
    if any(name.lower().endswith(".dcm") for name in names):
        yield folder
        return
    if _is_zarr(folder):
        # An embedding store is one too, and no slide.
        if _is_image(folder):
            yield folder
        return
    for name in names:
        path = folder / name
        if name.startswith("."):
            continue
        if path.is_dir():
            yield from _in_folder(path)
        elif name.lower().endswith(_SUFFIXES):
            yield path


def _is_zarr(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("zarr.json", ".zgroup"))


def _is_image(folder: Path) -> bool:
    for name in ("zarr.json", ".zattrs"):
        file = folder / name
        if file.is_file() and b'"multiscales"' in file.read_bytes():
            return True
    return False


def _listed(file: Path, mpp: float | None) -> Iterator[SlideEntry]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as text:
            rows = list(csv.DictReader(text))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SlideError(
            f"{file} cannot be read as a list of slides: {error}"
        ) from error
    if not rows or "slide" not in rows[0]:
        raise SlideError(f"{file} names no slides: its first line must be slide,mpp")
    for number, row in enumerate(rows, start=2):
        slide = (row["slide"] or "").strip()
        if not slide:
            raise SlideError(f"{file}, line {number}: the column slide is empty")
        size = (row.get("mpp") or "").strip()
        try:
            own = float(size) if size else mpp
        except ValueError:
            raise SlideError(
                f"{file}, line {number}: {size!r} is no pixel size in micrometres"
            ) from None
        yield SlideEntry(file.parent / slide, own)
