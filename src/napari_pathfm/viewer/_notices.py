"""One line to the person, wherever there is a place for it."""

from __future__ import annotations

from typing import Literal

Severity = Literal["info", "warning", "error"]

RESEARCH_ONLY = "Research use only, not for diagnosis."


def notify(severity: Severity, text: str) -> None:
    """Show a notification of napari's, which prints where there is no window."""
    from napari.utils import notifications

    show = {
        "info": notifications.show_info,
        "warning": notifications.show_warning,
        "error": notifications.show_error,
    }[severity]
    show(text)
