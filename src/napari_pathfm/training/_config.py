"""A run's config: TOML, read into frozen dataclasses, every key and value checked."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from importlib.resources.abc import Traversable

T = TypeVar("T")

_WORDS = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class AtLeast:
    """A bound that stands in a field's annotation."""

    least: float

    def allows(self, value: float) -> bool:
        """Tell whether a value keeps the bound."""
        return value >= self.least

    def __str__(self) -> str:
        return f"at least {self.least}"


@dataclass(frozen=True)
class Between:
    """Two bounds, both allowed."""

    least: float
    most: float

    def allows(self, value: float) -> bool:
        """Tell whether a value keeps the bounds."""
        return self.least <= value <= self.most

    def __str__(self) -> str:
        return f"from {self.least} to {self.most}"


def shipped() -> dict[str, Traversable]:
    """Give the configs that come with the program, by name."""
    folder = resources.files("napari_pathfm.training") / "configs"
    files = (f for f in folder.iterdir() if f.name.endswith(".toml"))
    return {f.name.removesuffix(".toml"): f for f in sorted(files, key=str)}


def read_toml(config: str | Path) -> dict[str, Any]:
    """Read a config file, or one that comes with the program by its name.

    Raises
    ------
    PathfmError
        If there is none, or it is no TOML.
    """
    own = shipped()
    source: Path | Traversable = (
        own[config] if isinstance(config, str) and config in own else Path(config)
    )
    try:
        return tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PathfmError(
            f"there is no training config {config}: give a file, or one of "
            f"{', '.join(own)}"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise PathfmError(f"{config} is no training config ({error})") from error


def override(told: dict[str, Any], settings: Iterable[str]) -> None:
    """Put ``table.key=value`` in the place of what a config says.

    The value is TOML; what is no TOML is text.

    Raises
    ------
    PathfmError
        If one is not of that form.
    """
    for setting in settings:
        name, equals, text = setting.partition("=")
        *tables, key = name.strip().split(".")
        if not equals or not key or not all(tables):
            raise PathfmError(f"--set {setting}: write table.key=value")
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        inner = told
        for table in tables:
            inner = inner.setdefault(table, {})
            if not isinstance(inner, dict):
                raise PathfmError(f"--set {setting}: {table} is no table")
        inner[key] = value


def build(kind: type[T], told: Mapping[str, Any], where: str) -> T:
    """Turn a table into the dataclass that says what may stand in it.

    Fields are whole numbers, numbers, texts, truths, tuples of these, choices of
    ``Literal``, tables of their own (dataclasses), and any of these or ``None``, which
    stands for a key that is not there; ``Annotated`` adds an `AtLeast` or `Between`.
    A ``problem()`` of the dataclass has the last word.

    Parameters
    ----------
    kind : type
        A frozen dataclass.
    told : mapping
        The table.
    where : str
        For messages: the file, and the table's name with a dot at its end.

    Raises
    ------
    PathfmError
        Naming the key and what it may be.
    """
    hints = get_type_hints(kind, include_extras=True)
    fields = {f.name: f for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in told:
        if key not in fields:
            raise PathfmError(
                f"{where}{key} is unknown: there are {', '.join(sorted(fields))}"
            )
    values = {}
    for name, field in fields.items():
        if name in told:
            values[name] = _value(hints[name], told[name], f"{where}{name}")
        elif dataclasses.is_dataclass(hints[name]) and isinstance(hints[name], type):
            # A table whose keys all have a default may be left out.
            values[name] = build(hints[name], {}, f"{where}{name}.")
        elif (
            field.default is dataclasses.MISSING
            and field.default_factory is dataclasses.MISSING
        ):
            raise PathfmError(f"{where}{name} is missing: {_wanted(hints[name])}")
    built = kind(**values)
    problem = getattr(built, "problem", None)
    if problem is not None and (why := problem()):
        raise PathfmError(f"{where}{why}")
    return built


def _value(hint: Any, value: Any, where: str) -> Any:
    if get_origin(hint) is Annotated:
        inner, *bounds = get_args(hint)
        value = _value(inner, value, where)
        for bound in bounds:
            if not bound.allows(value):
                raise PathfmError(f"{where} must be {bound}, not {value}")
        return value
    if isinstance(hint, UnionType):
        (hint,) = (h for h in get_args(hint) if h is not type(None))
        return _value(hint, value, where)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise PathfmError(f"{where} must be a table, not {value!r}")
        return build(hint, value, f"{where}.")
    if get_origin(hint) is Literal:
        if value in get_args(hint):
            return value
    elif get_origin(hint) is tuple:
        inner, *rest = get_args(hint)
        fixed = rest != [Ellipsis]
        if isinstance(value, list) and (not fixed or len(value) == 1 + len(rest)):
            return tuple(_value(inner, v, where) for v in value)
    elif hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    elif type(value) is hint:
        return value
    raise PathfmError(f"{where} must be {_wanted(hint)}, not {value!r}")


def _wanted(hint: Any) -> str:
    """Say what a field may be."""
    if get_origin(hint) is Annotated:
        inner, *bounds = get_args(hint)
        return f"{_wanted(inner)} {' '.join(str(b) for b in bounds)}"
    if isinstance(hint, UnionType):
        return _wanted(next(h for h in get_args(hint) if h is not type(None)))
    if get_origin(hint) is Literal:
        return " or ".join(repr(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        inner, *rest = get_args(hint)
        many = "a list" if rest == [Ellipsis] else f"a list of {1 + len(rest)}"
        return f"{many}, each {_wanted(inner)}"
    return _WORDS.get(hint, "a table")
