"""One program, one verb a module; a failure is one line and exit code 1."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from napari_pathfm import __version__
from napari_pathfm.cli import (
    _compare,
    _demo,
    _embed,
    _evaluate,
    _export,
    _extend,
    _fidelity,
    _generate,
    _h5,
    _heatmap,
    _index,
    _info,
    _models,
    _provenance,
    _repair,
    _search,
    _train,
    _twin,
    _view,
    _virtual,
)
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Sequence

# In the order of a day's work.
_VERBS = (
    _demo,
    _view,
    _info,
    _models,
    _embed,
    _h5,
    _heatmap,
    _index,
    _search,
    _generate,
    _repair,
    _extend,
    _twin,
    _virtual,
    _compare,
    _fidelity,
    _provenance,
    _export,
    _train,
    _evaluate,
)


def build_parser() -> argparse.ArgumentParser:
    """Build the parser with every verb."""
    parser = argparse.ArgumentParser(
        prog="napari-pathfm",
        description="Pathology foundation models, live on whole-slide images. "
        "Research use only, not for diagnosis.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in _VERBS:
        verb.add(verbs)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns
    -------
    int
        0 done, 1 failed with one line on stderr, 130 interrupted. Bad usage leaves
        through argparse with 2.
    """
    options = build_parser().parse_args(arguments)
    try:
        code: int = options.run(options) or 0
        sys.stdout.flush()
    except PathfmError as error:
        print(f"napari-pathfm: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("napari-pathfm: interrupted; finished work is kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone; point stdout at nothing so that the
        # interpreter's own flush at exit stays quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code
