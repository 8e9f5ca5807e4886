"""What cross-validation says of a few-shot classifier, in words and as a table."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_pathfm.viewer.session._class_work import Answer


def trust_lines(classes: int, answer: Answer | None) -> str:
    """Say how many held-out labels were right, and what that is worth."""
    if classes < 2:
        return "Add two classes or more, and paint a stroke of each."
    if answer is None:
        return "Paint a stroke of each class."
    if answer.maps is None:
        return "Paint a stroke of another class, too, on tissue."
    found = answer.validation
    if found is None:
        return ""
    if not found.folds:
        return found.warning
    right = (
        f"Held-out labels right: {found.balanced_accuracy:.0%} "
        f"(mean over classes, {found.folds} folds)"
    )
    return f"{right}\n{found.warning}" if found.warning else right


def trust_table(answer: Answer | None) -> str:
    """Give the confusion table as a tooltip, rows the labels and columns the guess."""
    found = None if answer is None else answer.validation
    if found is None or not found.folds:
        return ""
    names = [escape(name) for name in found.names]
    head = "".join(f"<th align='right'>{name}</th>" for name in names)
    rows = "".join(
        f"<tr><td>{name}</td>"
        + "".join(f"<td align='right'>{number}</td>" for number in row)
        + "</tr>"
        for name, row in zip(names, found.confusion.tolist(), strict=True)
    )
    return (
        "Tiles that were left out of the fit: labelled as (row), taken for (column). "
        "Tiles that touch are left out together.<br>"
        f"<table cellspacing='6'><tr><th></th>{head}</tr>{rows}</table>"
    )
