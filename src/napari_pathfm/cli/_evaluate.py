"""``evaluate PROTOCOL``: how good a model is, as JSON and as a page with plots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.cli import (
    _evaluate_expression,
    _evaluate_generation,
    _evaluate_probe,
    _evaluate_robustness,
    _evaluate_slides,
)

if TYPE_CHECKING:
    import argparse

# Each adds itself as this verb does.
_PROTOCOLS = (
    _evaluate_robustness,
    _evaluate_probe,
    _evaluate_expression,
    _evaluate_generation,
    _evaluate_slides,
)


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the verb and its protocols."""
    parser = verbs.add_parser("evaluate", help="protocols that say how good a model is")
    protocols = parser.add_subparsers(
        dest="protocol", metavar="PROTOCOL", required=True
    )
    for protocol in _PROTOCOLS:
        protocol.add(protocols)
