"""Whether vectors of two origins may be compared at all."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping

# What makes vectors the same kind of thing, in the words of the message.
_KIND = {
    "encoder": "encoder",
    "weights_revision": "weights",
    "pooling": "pooling",
    "tile_px": "tile size",
    "mpp": "mpp",
}


def check_comparable(
    one: Mapping[str, Any], other: Mapping[str, Any], first: str, second: str
) -> None:
    """Refuse to compare vectors that mean different things.

    Parameters
    ----------
    one, other : mapping
        Attributes of a store, or a provenance that has them.
    first, second : str
        What they belong to, for people.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    for key, words in _KIND.items():
        if one.get(key) != other.get(key):
            raise StoreError(
                f"{first} and {second} cannot be compared: their {words} differs "
                f"({one.get(key)}, {other.get(key)}); embed both in the same way"
            )
