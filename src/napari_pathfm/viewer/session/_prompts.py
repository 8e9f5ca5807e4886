"""The places a person has clicked on a slide, and what they meant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from psygnal import Signal

if TYPE_CHECKING:
    from collections.abc import Iterable

Role = Literal["like", "unlike"]


class Prompt(NamedTuple):
    """A clicked place: level-0 ``(x, y)``, corner origin."""

    x: float
    y: float
    role: Role = "like"

    @property
    def point(self) -> tuple[float, float]:
        """Where it is, without what it means."""
        return self.x, self.y


class Prompts:
    """Prompts of one slide, in the order in which they were given."""

    changed = Signal()

    def __init__(self, prompts: Iterable[Prompt] = ()) -> None:
        self._items: tuple[Prompt, ...] = tuple(prompts)

    @property
    def items(self) -> tuple[Prompt, ...]:
        """All of them; a tuple, so that a worker may keep it."""
        return self._items

    def points(self, role: Role) -> list[tuple[float, float]]:
        """Level-0 ``(x, y)`` of the prompts of a role."""
        return [prompt.point for prompt in self._items if prompt.role == role]

    @property
    def last(self) -> Prompt | None:
        """The newest, of either role."""
        return self._items[-1] if self._items else None

    def __len__(self) -> int:
        return len(self._items)

    def add(self, x: float, y: float, role: Role = "like") -> None:
        """Add a place."""
        self.replace((*self._items, Prompt(float(x), float(y), role)))

    def clear(self) -> None:
        """Forget all."""
        self.replace(())

    def remove(self, prompts: Iterable[Prompt]) -> None:
        """Take some out."""
        unwanted = set(prompts)
        self.replace(item for item in self._items if item not in unwanted)

    def replace(self, prompts: Iterable[Prompt]) -> None:
        """Have these instead; says so only where something changes."""
        items = tuple(prompts)
        if items != self._items:
            self._items = items
            self.changed.emit()
