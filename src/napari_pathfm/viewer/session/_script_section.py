"""The script in a session file: as values, of which nothing but a script can be made.

What prompts, labels and settings make is recorded again when a session is opened and
they are worked out anew. Kept are synthetic tissue and maps, which are not, and what
was written; each is tied to its layer again by its pixels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.viewer._metadata import kind_of
from napari_pathfm.viewer.session._script_code import (
    Call,
    Get,
    Items,
    Method,
    Region,
    Step,
    Stored,
    Table,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari.layers import Layer

    from napari_pathfm.viewer.session._script_code import Value
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._session_file import Bulk

_KEPT = ("made ", "head ", "written ")
_MOST = 10_000
_DIGEST = re.compile("[0-9a-f]{64}")


class ScriptSection:
    """Actions whose results a session keeps as they are."""

    name = "script"

    def write(self, session: Session, bulk: Bulk) -> Any:
        """Give ``{steps, actions}``; steps name earlier ones by their number."""
        writing = _Writing()
        actions = []
        for key, one in session.script.now().items():
            if key.startswith(_KEPT):
                array = None if one.array is None else writing.value(one.array)
                step = writing.value(one.step)
                digest = "" if array is None else one.digest
                actions.append([key, step, array, digest, one.layer is not None])
        return {"steps": writing.steps, "actions": actions} if actions else None

    def read(self, session: Session, data: Any, bulk: Bulk) -> Iterable[str]:
        """Take them up; those whose layer did not come back stay away."""
        steps: list[Step] = []
        for one in _listed(data["steps"]):
            steps.append(_step(one, steps))
        found = [_action(one, steps) for one in _listed(data["actions"])]
        layers = _digests(session) if any(one[4] for one in found) else {}
        for key, step, array, digest, tied in found:
            layer = layers.get(digest) if tied else None
            if tied and layer is None:
                continue
            if layer is not None and key.startswith("made "):
                # The number is that of a layer, and this is another one.
                key = f"made {layer.unique_id}"
            session.script.record(key, step, layer=layer, array=array, digest=digest)
            if layer is not None:
                session.script.shows(layer, array.of)
        return ()


class _Writing:
    """Numbers steps as they come: each once."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self._numbers: dict[Step, int] = {}

    def value(self, value: Value) -> Any:
        if isinstance(value, Step):
            if value not in self._numbers:
                own = [value.name, self.value(value.value)]
                self._numbers[value] = len(self.steps)
                self.steps.append(own)
            return ["step", self._numbers[value]]
        if isinstance(value, Call):
            more = [[key, self.value(one)] for key, one in value.keywords]
            return ["call", value.function, self._all(value.args), more]
        if isinstance(value, Method):
            more = [[key, self.value(one)] for key, one in value.keywords]
            own = self.value(value.of)
            return ["method", own, value.name, self._all(value.args), more]
        if isinstance(value, Get):
            return ["get", self.value(value.of), value.name]
        if isinstance(value, Items):
            return ["list", self._all(value.items)]
        if isinstance(value, Table):
            return ["dict", [[key, self.value(one)] for key, one in value.items]]
        if isinstance(value, tuple):
            return ["tuple", self._all(value)]
        if isinstance(value, Region):
            return ["region", value.wkt]
        if isinstance(value, Stored):
            return ["stored", value.path]
        return value

    def _all(self, values: Iterable[Value]) -> list[Any]:
        return [self.value(one) for one in values]


def _read(data: Any, steps: list[Step]) -> Value:
    """Make a value of what `_Writing` gave; anything else raises."""
    if not isinstance(data, list):
        return data
    kind, *rest = data

    def every(values: Any) -> tuple[Value, ...]:
        return tuple(_read(one, steps) for one in _listed(values))

    def pairs(values: Any) -> tuple[tuple[str, Value], ...]:
        return tuple((_text(key), _read(one, steps)) for key, one in _listed(values))

    match kind, rest:
        case "step", [int(number)] if 0 <= number < len(steps):
            return steps[number]
        case "call", [function, args, more]:
            return Call(_text(function), every(args), pairs(more))
        case "method", [own, name, args, more]:
            return Method(_read(own, steps), _text(name), every(args), pairs(more))
        case "get", [own, name]:
            return Get(_read(own, steps), name)
        case "list", [values]:
            return Items(every(values))
        case "dict", [values]:
            return Table(pairs(values))
        case "tuple", [values]:
            return every(values)
        case "region", [wkt]:
            return Region(_text(wkt))
        case "stored", [path]:
            return Stored(_text(path))
    raise ValueError(f"{str(data)[:40]!r} is no part of a script")


def _step(data: Any, steps: list[Step]) -> Step:
    name, value = data
    return Step(_text(name), _read(value, steps))


def _action(data: Any, steps: list[Step]) -> tuple[str, Step, Value, str, bool]:
    key, step, array, digest, tied = data
    found = _read(step, steps)
    if not isinstance(found, Step) or not _text(key).startswith(_KEPT):
        raise ValueError("one of its actions is none")
    own = None if array is None else _read(array, steps)
    if tied and not (isinstance(own, Get) and _DIGEST.fullmatch(_text(digest))):
        raise ValueError("one of its results is none")
    return key, found, own, digest, bool(tied)


def _digests(session: Session) -> dict[str, Layer]:
    """Find the layers that came back, by what they show."""
    from napari_pathfm.exports import array_sha256

    found = {}
    for layer in session.viewer.layers:
        if kind_of(layer) in ("synthetic", "map"):
            pixels = np.asarray(layer.data)
            found[array_sha256(pixels)] = layer
            # A single image lies there without the axis of a slider.
            found[array_sha256(pixels[None])] = layer
    return found


def _listed(values: Any) -> list[Any]:
    if not isinstance(values, list) or len(values) > _MOST:
        raise ValueError("one of its lists is none")
    return values


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]!r} is no text")
    return value
