"""The values of a table that a person wrote, each of the kind it must be."""

from __future__ import annotations

import difflib
import math
import reprlib
from typing import TYPE_CHECKING, Any, NoReturn, overload

from napari_pathfm.errors import SpecError

if TYPE_CHECKING:
    from collections.abc import Collection

    Triple = tuple[float, float, float]


class _Missing:
    """Stands for a value that has to be there."""


_MISSING = _Missing()

# Characters; a message stays a line that can be read.
_LONG_KEY, _LONG_TEXT = 60, 1_000


class Values:
    """A table; each method takes one value out, or refuses it by its key.

    Parameters
    ----------
    told : dict
        What the file holds.
    where : str
        The file, for messages.
    within : str
        The table's own key, where it lies in another.
    """

    def __init__(self, told: dict[str, Any], where: str, within: str = "") -> None:
        self.told = told
        self._where = where
        self._within = within
        self._seen: set[str] = set()

    def refuse(self, key: str, why: str) -> NoReturn:
        """Raise the error about a key."""
        key = key if key.isprintable() and len(key) <= _LONG_KEY else _short(key)
        full = f"{self._within}.{key}" if self._within else key
        raise SpecError(f"{self._where}: {full}: {why}")

    def no_more(self, known: Collection[str] = ()) -> None:
        """Refuse keys that nobody asked for."""
        for key in self.told:
            if key not in self._seen and key not in known:
                near = difflib.get_close_matches(key, [*self._seen, *known], 1)
                hint = f"; is {near[0]} meant?" if near else ""
                self.refuse(key, f"there is no such key{hint}")

    def table(self, key: str) -> Values:
        """Take a table; an absent one is empty."""
        value: Any = self._take(key, {})
        if not isinstance(value, dict):
            self.refuse(key, "must be a table")
        return Values(value, self._where, key)

    @overload
    def text(self, key: str, default: str | _Missing = ...) -> str: ...
    @overload
    def text(self, key: str, default: None) -> str | None: ...
    def text(self, key: str, default: str | _Missing | None = _MISSING) -> str | None:
        """Take words on one line."""
        value = self._take(key, default)
        if value is None or value == default:
            return default if isinstance(default, str) else None
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, f"must be text, not {_short(value)}")
        if not value.isprintable() or len(value) > _LONG_TEXT:
            self.refuse(key, f"must be one line of plain text, {_LONG_TEXT} at most")
        return value

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        """Take a list of words."""
        value: Any = self._take(key, default)
        if isinstance(value, tuple):
            return default
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.refuse(key, "must be a list of texts")
        return tuple(value)

    def one_of(self, key: str, known: tuple[str, ...], default: str) -> Any:
        """Take one of several words."""
        value = self._take(key, default)
        if value not in known:
            self.refuse(key, f"must be one of {', '.join(known)}, not {_short(value)}")
        return value

    def truth(self, key: str, *, default: bool | _Missing = _MISSING) -> bool:
        """Take true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            self.refuse(key, f"must be true or false, not {_short(value)}")
        return value

    def whole(
        self,
        key: str,
        default: int | _Missing | None = _MISSING,
        *,
        least: int = 1,
        most: int | None = None,
    ) -> Any:
        """Take a whole number within limits."""
        value = self._take(key, default)
        if value is default:
            return value
        # True is a number to Python.
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse(key, f"must be a whole number, not {_short(value)}")
        if value < least or (most is not None and value > most):
            upper = "" if most is None else f" and at most {most}"
            self.refuse(key, f"must be at least {least}{upper}, not {_short(value)}")
        return value

    def number(self, key: str, *, above: float | None = None) -> float:
        """Take a finite number."""
        return self._number(key, self._take(key, _MISSING), above)

    def three(self, key: str, *, above: float | None = None) -> Triple:
        """Take one number each for red, green and blue."""
        value = self._take(key, _MISSING)
        if not isinstance(value, list) or len(value) != 3:
            self.refuse(key, f"must be three numbers (R, G, B), not {_short(value)}")
        red, green, blue = (self._number(key, one, above) for one in value)
        return red, green, blue

    def _number(self, key: str, value: Any, above: float | None) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, f"must be a number, not {_short(value)}")
        try:
            number = float(value)
        except OverflowError:  # a whole number of hundreds of digits
            number = math.inf
        if not math.isfinite(number) or (above is not None and number <= above):
            wanted = "finite" if above is None else f"finite and above {above:g}"
            self.refuse(key, f"must be {wanted}, not {_short(value)}")
        return number

    def _take(self, key: str, default: Any) -> Any:
        self._seen.add(key)
        if key in self.told:
            if self.told[key] is None:
                self.refuse(key, "is null: leave it out")
            return self.told[key]
        if default is _MISSING:
            self.refuse(key, "is missing")
        return default


def _short(value: Any) -> str:
    """Give a value for a message of one line, whatever a person wrote."""
    return reprlib.repr(value)
