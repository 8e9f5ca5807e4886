"""A report as one HTML page, without scripts or outside files."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from napari_pathfm.evaluation._bootstrap import Estimate

if TYPE_CHECKING:
    from napari_pathfm.evaluation._report import Report, Table

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 1000px; margin: 2em auto;
       padding: 0 1em; color: #222; background: #fff }
table { border-collapse: collapse; margin: .5em 0 1.5em }
td, th { padding: .15em .9em .15em 0; text-align: left; vertical-align: top }
th { border-bottom: 1px solid #999 } td { border-bottom: 1px solid #eee }
figure { margin: 1.5em 0 } figcaption { color: #555 } svg { max-width: 100% }
li { margin: .3em 0 }
"""


def page(report: Report) -> str:
    """Write a report as HTML."""
    facts = "".join(
        f"<tr><td>{escape(str(name))}<td>{escape(cell(value))}"
        for name, value in report.facts.items()
    )
    tables = "".join(_table(table) for table in report.tables)
    plots = "".join(
        f"<figure>{plot.svg}<figcaption>{escape(plot.caption)}</figcaption></figure>"
        for plot in report.plots
    )
    notes = "".join(f"<li>{escape(note)}" for note in report.notes)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(report.title)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(report.title)}</h1><p>For research only, not for diagnosis."
        f"<h2>Of what</h2><table>{facts}</table>{tables}{plots}"
        + (f"<h2>To be known</h2><ul>{notes}</ul>" if notes else "")
        + "</html>\n"
    )


def cell(value: Any) -> str:
    """Write a value for people; three decimals."""
    if value is None:
        return "not known"
    if isinstance(value, Estimate):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return "; ".join(f"{name}: {cell(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return str(value)


def _table(table: Table) -> str:
    heads = "".join(f"<th>{escape(name)}" for name in table.columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape('-' if v is None else cell(v))}" for v in row)
        for row in table.rows
    )
    return f"<h2>{escape(table.title)}</h2><table><tr>{heads}{rows}</table>"
