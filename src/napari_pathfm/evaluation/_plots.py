"""Plots of a report, as SVG that stands in the page itself."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.evaluation._bootstrap import Estimate

_LEFT, _WIDTH, _ROW = 220, 420, 24
_INK, _GRID, _MARK = "#222", "#ddd", "#0b62a4"


def intervals(
    rows: Sequence[tuple[str, Estimate]], limits: tuple[float, float] = (0.0, 1.0)
) -> str:
    """Draw figures as dots with their intervals, one a line.

    Parameters
    ----------
    rows : sequence of (str, Estimate)
        From the top.
    limits : (float, float)
        Ends of the axis.
    """
    low, high = limits
    height = _ROW * len(rows) + 34

    def across(value: float) -> float:
        share = (min(max(value, low), high) - low) / (high - low)
        return _LEFT + _WIDTH * share

    parts = []
    for tick in np.linspace(low, high, 6):
        x = across(float(tick))
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{height - 24}" '
            f'stroke="{_GRID}"/>' + _text(x, height - 8, f"{tick:.2g}", "middle")
        )
    for number, (label, estimate) in enumerate(rows):
        y = _ROW * (number + 0.5) + 4
        parts.append(_text(_LEFT - 10, y + 4, label, "end"))
        if np.isfinite([estimate.low, estimate.high]).all():
            parts.append(
                f'<line x1="{across(estimate.low):.1f}" '
                f'x2="{across(estimate.high):.1f}" y1="{y}" y2="{y}" '
                f'stroke="{_MARK}" stroke-width="2"/>'
            )
        if np.isfinite(estimate.value):
            words = escape(f"{label}: {estimate}")
            parts.append(
                f'<circle cx="{across(estimate.value):.1f}" cy="{y}" r="4" '
                f'fill="{_MARK}"><title>{words}</title></circle>'
            )
    return _svg(_LEFT + _WIDTH + 70, height, parts)


def matrix(
    values: NDArray[np.floating],
    rows: Sequence[str],
    columns: Sequence[str],
    limits: tuple[float, float] | None = None,
) -> str:
    """Draw a table of numbers as shades; NaN stays empty.

    Parameters
    ----------
    values : ndarray
        ``(R, C)``.
    rows, columns : sequence of str
        Names.
    limits : (float, float), optional
        What is white and what is darkest; those of the values by default.
    """
    finite = values[np.isfinite(values)]
    low, high = limits or (
        (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    )
    side = min(60.0, max(6.0, 480 / max(len(columns), 1)))
    named = side >= 11
    top = 130 if named else 10
    parts = []
    for r, name in enumerate(rows):
        y = top + side * r
        if named:
            parts.append(_text(_LEFT - 10, y + side / 2 + 4, name, "end"))
        for c, column in enumerate(columns):
            value = float(values[r, c])
            if not np.isfinite(value):
                continue
            share = (value - low) / (high - low) if high > low else 1.0
            share = min(max(share, 0.0), 1.0)
            x = _LEFT + side * c
            parts.append(
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" '
                f'height="{side:.1f}" fill="{_shade(share)}">'
                f"<title>{escape(f'{name}, {column}: {value:.3f}')}</title></rect>"
            )
            if side >= 34:
                ink = "#fff" if share > 0.6 else _INK
                parts.append(
                    _text(x + side / 2, y + side / 2 + 4, f"{value:.3g}", "middle", ink)
                )
    if named:
        for c, column in enumerate(columns):
            x = _LEFT + side * (c + 0.5)
            parts.append(
                f'<g transform="translate({x:.1f} {top - 8}) rotate(-45)">'
                f"{_text(0, 0, column, 'start')}</g>"
            )
    width = _LEFT + side * len(columns) + 90
    return _svg(width, top + side * len(rows) + 10, parts)


def _svg(width: float, height: float, parts: Sequence[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'font-family="system-ui, sans-serif" font-size="12">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, ink: str = _INK) -> str:
    short = text if len(text) <= 32 else f"{text[:31]}…"
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">'
        f"{escape(short)}</text>"
    )


def _shade(share: float) -> str:
    light, dark = np.array([247, 251, 255]), np.array([8, 48, 107])
    red, green, blue = np.rint(light + (dark - light) * share).astype(int)
    return f"#{red:02x}{green:02x}{blue:02x}"
