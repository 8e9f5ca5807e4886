"""A protocol's report: facts, tables, plots and notes, as JSON and as one page."""

from __future__ import annotations

import json
import math
import os
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.evaluation._bootstrap import LEVEL, Estimate
from napari_pathfm.evaluation._page import page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: What a figure means nothing without.
REQUIRED = ("encoder", "revision", "n", "codec", "mpp", "intervals")


@dataclass(frozen=True)
class Table:
    """A table of a report.

    Attributes
    ----------
    title : str
        What it shows.
    columns : sequence of str
        Heads.
    rows : sequence of sequence
        Cells: text, numbers, `Estimate` or None.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True)
class Plot:
    """A picture of a report.

    Attributes
    ----------
    caption : str
        What it shows.
    svg : str
        The picture.
    """

    caption: str
    svg: str


@dataclass(frozen=True)
class Report:
    """What a protocol found, and of what.

    Attributes
    ----------
    protocol : str
        Its name, which names the files too.
    title : str
        For people.
    facts : mapping
        All of `REQUIRED` and more; a value that is not known is None.
    results : mapping
        The figures, JSON-serialisable but for `Estimate`.
    tables, plots : sequence
        For the page.
    notes : sequence of str
        What a reader of the figures should know.

    Raises
    ------
    PathfmError
        If a required fact is missing.
    """

    protocol: str
    title: str
    facts: Mapping[str, Any]
    results: Mapping[str, Any]
    tables: Sequence[Table] = ()
    plots: Sequence[Plot] = ()
    notes: Sequence[str] = field(default=())

    def __post_init__(self) -> None:
        missing = [name for name in REQUIRED if name not in self.facts]
        if missing:
            raise PathfmError(f"a report does not state its {', '.join(missing)}")

    def to_json(self) -> dict[str, Any]:
        """Give all but the pictures, JSON-serialisable."""
        from napari_pathfm import __version__

        return {
            "format": "napari-pathfm report",
            "version": 1,
            "protocol": self.protocol,
            "software": f"napari-pathfm {__version__}",
            "facts": plain(self.facts),
            "results": plain(self.results),
            "notes": list(self.notes),
        }


def write_report(report: Report, folder: Path) -> tuple[Path, Path]:
    """Write ``<protocol>.json`` and ``<protocol>.html``, which needs no other file.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    data, html = (folder / f"{report.protocol}{end}" for end in (".json", ".html"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(data, json.dumps(report.to_json(), indent=2, allow_nan=False) + "\n")
        _write(html, page(report))
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror or error}): choose another "
            "folder with --out"
        ) from error
    return data, html


def interval_words(draws: int, unit: str, seed: int) -> str:
    """Say how the intervals were made: for ``facts["intervals"]``."""
    return f"{LEVEL:.0%}, percentile bootstrap, {draws} draws of {unit}, seed {seed}"


def plain(value: Any) -> Any:
    """Turn estimates, NumPy numbers and NaN into what JSON knows (NaN is null)."""
    if isinstance(value, Estimate):
        return plain(value.to_json())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _write(path: Path, text: str) -> None:
    part = path.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
