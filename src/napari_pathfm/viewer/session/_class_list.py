"""The classes that a person tells apart: names, colours, and the one in hand."""

from __future__ import annotations

from dataclasses import replace

from psygnal import Signal

from napari_pathfm.errors import LabelError
from napari_pathfm.heatmaps import PALETTE, TissueClass

#: More classes than a person tells apart, and less than a byte holds.
MOST_CLASSES = 32


class ClassList:
    """Classes in order; label number ``n`` means the class at ``n - 1``."""

    #: Names, colours or number of classes.
    changed = Signal()
    #: Which one is in hand.
    current_changed = Signal()
    #: A class was taken out: its index.
    removed = Signal(int)

    def __init__(self) -> None:
        self._items: tuple[TissueClass, ...] = ()
        self._current = 0

    @property
    def items(self) -> tuple[TissueClass, ...]:
        """All of them; a tuple, so that a worker may keep it."""
        return self._items

    def __len__(self) -> int:
        return len(self._items)

    @property
    def current(self) -> int:
        """Index of the class that the brush paints."""
        return self._current

    @current.setter
    def current(self, index: int) -> None:
        if index != self._current and 0 <= index < len(self._items):
            self._current = index
            self.current_changed.emit()

    def add(self, name: str = "") -> None:
        """Add a class and take it in hand; without a name it gets a free one.

        Raises
        ------
        LabelError
            There is one of that name, or there are too many.
        """
        known = {one.name for one in self._items}
        number = len(known) + 1
        while not name or (name == f"Class {number - 1}" and name in known):
            name = f"Class {number}"
            number += 1
        color = PALETTE[len(known) % len(PALETTE)]
        self.replace((*self._items, TissueClass(name, color)))
        self.current = len(self._items) - 1

    def rename(self, index: int, name: str) -> None:
        """Give a class another name.

        Raises
        ------
        LabelError
            It is empty or another class's.
        """
        self._put(index, replace(self._items[index], name=name.strip()))

    def recolor(self, index: int, color: tuple[int, int, int]) -> None:
        """Give a class another colour: red, green, blue from 0 to 255."""
        self._put(index, replace(self._items[index], color=color))

    def remove(self, index: int) -> None:
        """Take a class out; those after it move up by one."""
        kept = (*self._items[:index], *self._items[index + 1 :])
        self._current = max(0, min(self._current, len(kept) - 1))
        self._items = kept
        self.removed.emit(index)
        self.changed.emit()

    def replace(self, classes: tuple[TissueClass, ...]) -> None:
        """Have these instead; says so only where something changes.

        Raises
        ------
        LabelError
            Two have one name, one has none, or there are too many.
        """
        names = [one.name for one in classes]
        if not all(names) or len(set(names)) < len(names):
            raise LabelError("Every class needs a name of its own.")
        if len(classes) > MOST_CLASSES:
            raise LabelError(f"There can be {MOST_CLASSES} classes at most.")
        if classes != self._items:
            self._items = classes
            self._current = max(0, min(self._current, len(classes) - 1))
            self.changed.emit()

    def _put(self, index: int, one: TissueClass) -> None:
        self.replace((*self._items[:index], one, *self._items[index + 1 :]))
