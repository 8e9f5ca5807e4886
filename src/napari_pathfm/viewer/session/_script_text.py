"""A script as text: plain Python, in lines of 88, that needs no window."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from napari_pathfm.viewer.session._script_code import (
    NOTES,
    STATEMENTS,
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

    from napari_pathfm.viewer.session._script_code import Value

_WIDTH = 88
_HEAD = '''"""What was done in the window of napari-pathfm, step by step.

`python THIS_FILE` does it again without a window; research use only.
"""
'''


def script_text(
    steps: Iterable[Step],
    shown: Iterable[tuple[Value, str]],
    *,
    stores: str,
    threads: int | None = None,
) -> str:
    """Write a script.

    Parameters
    ----------
    steps : iterable of Step
        In their order; what they need comes before them, once.
    shown : iterable of (value, str)
        Arrays among the results, and the SHA-256 that they had in the window.
    stores : str
        The folder with all stores.
    threads : int, optional
        PyTorch's, as the last bits depend on them.
    """
    return _Writer(stores, threads).text(list(steps), list(shown))


class _Writer:
    """Names results as they come, and remembers what has to be imported."""

    def __init__(self, stores: str, threads: int | None) -> None:
        self._stores = stores
        self._threads = threads
        self._names: dict[Step, str] = {}
        self._count: dict[str, int] = {}
        self._imports: dict[str, set[str]] = {}
        self._uses_stores = self._uses_shapely = False
        self._lines: list[str] = []

    def text(self, steps: list[Step], shown: list[tuple[Value, str]]) -> str:
        for step in steps:
            self._add(step)
        self._compare(shown)
        imports = ["from pathlib import Path"] if self._uses_stores else []
        others = [] if self._threads is None else ["import torch"]
        others += ["from shapely import from_wkt"] if self._uses_shapely else []
        ours = [
            self._import(room, sorted(names))
            for room, names in sorted(self._imports.items())
        ]
        groups = [imports, others, ours]
        parts = [_HEAD.rstrip("\n")]
        parts += ["\n".join(group) for group in groups if group]
        if self._uses_stores:
            parts.append(
                "# Embeddings are kept here and used again; an empty folder has them "
                f"made anew.\nSTORES = Path({_literal(self._stores)})"
            )
        if self._threads is not None:
            parts.append(f"torch.set_num_threads({self._threads})")
        return "\n\n".join([*parts, *self._lines]) + "\n"

    def _add(self, step: Step) -> None:
        """Write a step, after what it needs; again under the same name: nothing."""
        if step in self._names:
            return
        for needed in _needed(step.value):
            self._add(needed)
        if step.name in STATEMENTS:
            self._names[step] = ""
            self._lines.append(self._statement(step))
            return
        number = self._count[step.name] = self._count.get(step.name, 0) + 1
        name = step.name if number == 1 else f"{step.name}_{number}"
        self._names[step] = name
        note = f"# {NOTES[step.name]}\n" if NOTES[step.name] else ""
        self._lines.append(note + f"{name} = {self._code(step.value, name)}")

    def _statement(self, step: Step) -> str:
        note = f"# {NOTES[step.name]}"
        if step.name == "by_hand":
            path, *layers = step.value.items
            return "\n".join(
                [note, "# script makes again:", f"#   {path!r}"]
                + [f"#   layer {layer!r}" for layer in layers]
            )
        return f"{note}\n{self._code(step.value)}"

    def _compare(self, shown: list[tuple[Value, str]]) -> None:
        if not shown:
            return
        self._imports.setdefault("exports", set()).add("array_sha256")
        rows = []
        for value, digest in shown:
            one = self._code(value)
            kept = f"        {one},\n        {_literal(digest)},\n"
            rows.append(f"    {_literal(one)}: (\n{kept}    ),")
        self._lines.append(
            "# Is it what the window showed, bit for bit? Another processor or other "
            "versions\n# may round otherwise.\nshown = {\n" + "\n".join(rows) + "\n}\n"
            "for name, (array, digest) in shown.items():\n"
            '    same = "identical" if array_sha256(array) == digest else "different"\n'
            '    print(f"{name}: {same}")'
        )

    def _import(self, room: str, names: list[str]) -> str:
        flat = f"from napari_pathfm.{room} import {', '.join(names)}"
        if len(flat) <= _WIDTH:
            return flat
        listed = "".join(f"    {name},\n" for name in names)
        return f"from napari_pathfm.{room} import (\n{listed})"

    def _code(self, value: Value, name: str = "") -> str:
        room_left = _WIDTH - (len(name) + 3 if name else 0)
        return self._wrapped(value, 0, room_left)

    def _wrapped(self, value: Value, indent: int, left: int) -> str:
        """Write a value in the room that is left, or over several lines."""
        flat = self._flat(value)
        if len(flat) <= left and "\n" not in flat:
            return flat
        inner, pad = indent + 4, " " * (indent + 4)

        def lines(parts: list[str], opened: str, closed: str) -> str:
            body = "".join(f"{pad}{part},\n" for part in parts)
            return f"{opened}\n{body}{' ' * indent}{closed}"

        def part(value: Value, name: str = "") -> str:
            return name + self._wrapped(value, inner, _WIDTH - inner - len(name) - 1)

        if isinstance(value, Call | Method):
            parts = [part(one) for one in value.args]
            parts += [part(one, f"{key}=") for key, one in value.keywords]
            return lines(parts, self._called(value) + "(", ")") if parts else flat
        if isinstance(value, Table):
            pairs = [part(one, f"{_literal(key)}: ") for key, one in value.items]
            return lines(pairs, "{", "}")
        if isinstance(value, Items | tuple):
            items = value.items if isinstance(value, Items) else value
            parts = [part(one) for one in items]
            brackets = "[]" if isinstance(value, Items) else "()"
            if all("\n" not in one and len(one) <= 40 for one in parts):
                parts = _filled(parts, _WIDTH - inner - 1)
            return lines(parts, *brackets)
        if isinstance(value, Region):
            size = _WIDTH - inner - 2
            pieces = [value.wkt[i : i + size] for i in range(0, len(value.wkt), size)]
            body = "".join(f"{pad}{_literal(piece)}\n" for piece in pieces)
            return f"from_wkt(\n{body}{' ' * indent})"
        return flat

    def _flat(self, value: Value) -> str:
        """Write a value in one line."""
        if isinstance(value, Step):
            return self._names[value]
        if isinstance(value, Call | Method):
            parts = [self._flat(one) for one in value.args]
            parts += [f"{key}={self._flat(one)}" for key, one in value.keywords]
            return f"{self._called(value)}({', '.join(parts)})"
        if isinstance(value, Get):
            of = self._flat(value.of)
            number = isinstance(value.name, int)
            return f"{of}[{value.name}]" if number else f"{of}.{value.name}"
        if isinstance(value, Items):
            return f"[{', '.join(self._flat(one) for one in value.items)}]"
        if isinstance(value, Table):
            pairs = [f"{_literal(key)}: {self._flat(one)}" for key, one in value.items]
            return "{" + ", ".join(pairs) + "}"
        if isinstance(value, tuple):
            inside = ", ".join(self._flat(one) for one in value)
            return f"({inside},)" if len(value) == 1 else f"({inside})"
        if isinstance(value, Region):
            self._uses_shapely = True
            return f"from_wkt({_literal(value.wkt)})"
        if isinstance(value, Stored):
            self._uses_stores = True
            return f"STORES / {_literal(value.path)}"
        return _literal(value)

    def _called(self, value: Call | Method) -> str:
        if isinstance(value, Method):
            return f"{self._flat(value.of)}.{value.name}"
        room, _, function = value.function.partition(".")
        self._imports.setdefault(room, set()).add(function.partition(".")[0])
        return function


def _needed(value: Value) -> Iterable[Step]:
    """Find the steps in a value, in their order."""
    if isinstance(value, Step):
        yield value
        return
    inside: tuple[Any, ...] = ()
    if isinstance(value, tuple):
        inside = value
    elif isinstance(value, Items | Table):
        inside = value.items
    elif isinstance(value, Get):
        inside = (value.of,)
    elif isinstance(value, Call):
        inside = (value.args, value.keywords)
    elif isinstance(value, Method):
        inside = (value.of, value.args, value.keywords)
    for one in inside:
        yield from _needed(one)


def _filled(parts: list[str], width: int) -> list[str]:
    """Put as many short parts into a line as it holds."""
    rows: list[str] = []
    for part in parts:
        if rows and len(rows[-1]) + len(part) + 2 <= width:
            rows[-1] += f", {part}"
        else:
            rows.append(part)
    return rows


def _literal(value: object) -> str:
    """Write a constant, a text in double quotes as far as that goes."""
    text = repr(value)
    if isinstance(value, str) and text.startswith("'") and '"' not in value:
        text = f'"{text[1:-1]}"'
    return text


def torch_threads() -> int | None:
    """Give how many threads PyTorch computes with here; None while it has not begun."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())
