"""JSON read piece by piece: what is whole is handed on, and only that is in memory."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_CHUNK = 1 << 20

#: Characters that one value may have. As Python objects a value takes up to fifteen
#: times its text; this is an outline of over a million vertices.
LARGEST_VALUE = 32 << 20

_SPACE = " \t\r\n"


class JsonStream:
    """A cursor over a JSON text.

    Every method raises ValueError where the text is no JSON or ends too early,
    RecursionError where one value is nested too deep, and OverflowError where it is
    larger than `LARGEST_VALUE`.

    Parameters
    ----------
    file : text file
        Read in pieces of a megabyte.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._decoder = json.JSONDecoder()
        self._buffer = ""
        self._at = 0
        self._ended = False
        self._pieces = self._failures = 0

    def peek(self) -> str:
        """Return the next character that is no space, or "" at the end."""
        while True:
            while self._at < len(self._buffer):
                if self._buffer[self._at] not in _SPACE:
                    return self._buffer[self._at]
                self._at += 1
            if not self._refill(_CHUNK):
                return ""

    def take(self, character: str) -> None:
        """Go past `character`, which has to come next."""
        found = self.peek()
        if found != character:
            what = f"{found!r} stands" if found else "it ends"
            raise ValueError(f"{what} where {character!r} belongs")
        self._at += 1

    def value(self) -> Any:
        """Return the next value, whole."""
        self.peek()
        size = _CHUNK
        while True:
            try:
                found, end = self._decoder.raw_decode(self._buffer, self._at)
            except ValueError:
                # Cut off at the end of the buffer, perhaps: look at more of it.
                if not self._refill(size):
                    raise
            else:
                # A number at the end of the buffer may go on in the next piece.
                if end < len(self._buffer) or not self._refill(size):
                    self._at = end
                    return found
            size *= 2
            if len(self._buffer) - self._at > LARGEST_VALUE:
                raise OverflowError(
                    f"one value has over {LARGEST_VALUE:,} characters; "
                    "simplify the outline"
                )

    def at_hand(self) -> Any:
        """Return the next value if all of it has been read from the file, else None.

        Much faster than piece by piece. Where it keeps failing it is not tried any
        more: time stays in proportion to the text.
        """
        self.peek()
        if self._failures > 50 + 2 * self._pieces:
            return None
        if not self._ended and len(self._buffer) - self._at < _CHUNK // 2:
            self._refill(_CHUNK)
        try:
            found, end = self._decoder.raw_decode(self._buffer, self._at)
        except (ValueError, RecursionError):
            self._failures += 1
            return None
        self._at = end
        return found

    def members(self) -> Iterator[str]:
        """Yield the keys of an object; each value is to be read before the next."""
        self.take("{")
        if self.peek() != "}":
            while True:
                key = self.value()
                if not isinstance(key, str):
                    raise ValueError("a key is no string")
                self.take(":")
                yield key
                if self.peek() == "}":
                    break
                self.take(",")
        self.take("}")

    def items(self) -> Iterator[None]:
        """Yield once before each item of an array, which is to be read then."""
        self.take("[")
        if self.peek() != "]":
            while True:
                yield
                if self.peek() == "]":
                    break
                self.take(",")
        self.take("]")

    def _refill(self, size: int) -> bool:
        """Append up to `size` characters; drop those that have been read."""
        if self._ended:
            return False
        more = self._file.read(size)
        self._ended = not more
        self._pieces += 1
        self._buffer = self._buffer[self._at :] + more
        self._at = 0
        return bool(more)
