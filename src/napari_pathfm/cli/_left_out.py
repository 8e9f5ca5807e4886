"""Stores that a verb over many of them goes on without: named, not hidden."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from napari_pathfm.errors import IncomparableError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.errors import StoreError


class LeftOut:
    """Hears of stores that cannot be read; refuses those that cannot be compared.

    Attributes
    ----------
    stores : dict
        Path to reason.
    """

    def __init__(self) -> None:
        self.stores: dict[str, str] = {}

    def __call__(self, path: Path, error: StoreError) -> None:
        """Note a store that is left out.

        Raises
        ------
        IncomparableError
            Its vectors are of another kind: somebody has named the wrong stores.
        """
        if isinstance(error, IncomparableError):
            raise error
        self.stores[str(path)] = str(error)

    def tell(self) -> None:
        """Say on stderr what was left out."""
        for reason in self.stores.values():
            print(f"napari-pathfm: left out: {reason}", file=sys.stderr)
