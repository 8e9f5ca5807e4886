"""``index.html``: the demo's results on one page, without scripts or outside files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 2em auto;
       padding: 0 1em; color: #222; background: #fff }
img { max-width: 100%; border: 1px solid #ccc }
figure { margin: 1.5em 0 } figcaption { color: #555; margin-top: .3em }
td { padding: .1em 1em .1em 0; vertical-align: top }
.notice { border-left: 4px solid #c60; padding: .3em 1em; background: #fff6ec }
"""


@dataclass(frozen=True)
class Figure:
    """A picture with its caption.

    Attributes
    ----------
    file : str
        Name of the picture, beside the page.
    caption : str
        What it shows.
    """

    file: str
    caption: str


def write_page(
    path: Path,
    *,
    facts: Sequence[tuple[str, str]],
    figures: Sequence[Figure],
    files: Sequence[tuple[str, str]],
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The page; pictures and files are beside it.
    facts : sequence of (str, str)
        What was measured, and the figure.
    figures : sequence of Figure
        In the order of the story.
    files : sequence of (str, str)
        Name and description of each result.
    """
    rows = "".join(f"<tr><td>{escape(k)}<td>{escape(v)}" for k, v in facts)
    pictures = "".join(
        f'<figure><img src="{escape(f.file)}" alt="{escape(f.caption)}">'
        f"<figcaption>{escape(f.caption)}</figcaption></figure>"
        for f in figures
    )
    listed = "".join(
        f'<li><a href="{escape(name)}">{escape(name)}</a>: {escape(what)}'
        for name, what in files
    )
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>napari-pathfm demo</title><style>{_STYLE}</style>"
        "<h1>napari-pathfm: from slide to heatmap to synthetic tissue to QuPath</h1>"
        '<p class="notice">Made with the bundled demonstration models: not for '
        "research or diagnosis. Images marked synthetic were never under a microscope."
        f"<table>{rows}</table>{pictures}<h2>Files</h2><ul>{listed}</ul></html>\n"
    )
    part = path.with_name(f".{path.name}.part")
    part.write_text(page, encoding="utf-8")
    os.replace(part, path)
