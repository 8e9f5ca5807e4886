"""Undo and redo: one order for clicks, classes, labels and synthetic layers."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer._metadata import kind_of
from napari_pathfm.viewer.session._label_bands import LabelBands

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_pathfm.heatmaps import TissueClass
    from napari_pathfm.viewer.session._label_bands import Packed
    from napari_pathfm.viewer.session._prompts import Prompt
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Labels are kept packed, a few kB a step; synthetic layers that were removed stay in
# memory as long as a step could bring them back.
MOST_STEPS = 64
# A click that is dragged and a brush that is drawn tell of themselves many times.
_ONE_GO_S = 0.5
_MANY = frozenset({"click moved", "labels"})


@dataclass(frozen=True)
class Moment:
    """What undo can bring back; equal where nothing of it differs.

    Attributes
    ----------
    prompts : tuple of (SlideState, tuple of Prompt)
        Of slides that have any.
    classes : tuple of TissueClass
    labels : tuple of (SlideState, Packed)
        What is painted; of slides where anything is.
    layers : frozenset of Layer
        Synthetic tissue.
    """

    prompts: tuple[tuple[SlideState, tuple[Prompt, ...]], ...] = ()
    classes: tuple[TissueClass, ...] = ()
    labels: tuple[tuple[SlideState, Packed], ...] = ()
    layers: frozenset[Layer] = frozenset()


class History:
    """The moments of a session, and where in them it is.

    Every change that a person makes is followed by a look at all of it, so whoever
    changes something need not say so here. What brings back the moment before, as
    napari's own undo of a stroke does, is a step back, not another change.

    Parameters
    ----------
    session : Session
        Whose.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._moments: list[Moment] = [Moment()]
        self._at = 0
        self._when = 0.0
        self._waiting = False
        self._applying = False
        # Labels are large: those that nobody has touched are not looked at.
        self._bands: dict[SlideState, tuple[Labels, LabelBands]] = {}
        self._touched: set[SlideState] = set()
        session.prompts_changed.connect(self.look)
        session.classes.list.changed.connect(self.look)
        session.classes.brush.painted.connect(self._on_painted)
        session.viewer.layers.events.inserted.connect(self.look)
        session.viewer.layers.events.removed.connect(self.look)

    def close(self) -> None:
        """Let go of the viewer."""
        layers = self._session.viewer.layers
        layers.events.inserted.disconnect(self.look)
        layers.events.removed.disconnect(self.look)
        self._moments = [Moment()]
        self._at = 0

    @property
    def undoes(self) -> str:
        """What `undo` would take back, in a word or two; empty where nothing."""
        if not self._at:
            return ""
        return difference(self._moments[self._at - 1], self._moments[self._at])

    @property
    def redoes(self) -> str:
        """What `redo` would do again; empty where nothing."""
        if self._at + 1 == len(self._moments):
            return ""
        return difference(self._moments[self._at], self._moments[self._at + 1])

    def undo(self) -> None:
        """Go a step back."""
        if self._at:
            self._go(self._at - 1)

    def redo(self) -> None:
        """Go a step forward again."""
        if self._at + 1 < len(self._moments):
            self._go(self._at + 1)

    def clear(self) -> None:
        """Begin anew: a slide was closed, or all of it came from a file."""
        self._bands.clear()
        self._moments, self._at = [self._moment()], 0
        self.changed.emit()

    def look(self, *_: object) -> None:
        """See what has changed, when what is going on has come to its end."""
        if not self._waiting and not self._applying:
            self._waiting = True
            self._session.runner.soon(self._look)

    def _on_painted(self, state: SlideState) -> None:
        self._touched.add(state)
        self.look()

    def _look(self) -> None:
        self._waiting = False
        now = self._moment()
        if self._applying or now == self._moments[self._at]:
            return
        if self._at and now == self._moments[self._at - 1]:
            self._at -= 1
        elif self._at + 1 < len(self._moments) and now == self._moments[self._at + 1]:
            self._at += 1
        else:
            self._add(now)
        self.changed.emit()

    def _add(self, now: Moment) -> None:
        newest = self._at + 1 == len(self._moments)
        word = difference(self._moments[self._at], now)
        at = time.monotonic()
        del self._moments[self._at + 1 :]
        if (
            newest
            and word in _MANY
            and word == self.undoes
            and at - self._when < _ONE_GO_S
        ):
            self._moments.pop()
        self._when = at
        if now != self._moments[-1]:
            self._moments.append(now)
        del self._moments[:-MOST_STEPS]
        self._at = len(self._moments) - 1

    def _go(self, at: int) -> None:
        self._at = at
        self._applying = True
        try:
            self._apply(self._moments[at])
        finally:
            self._applying = False
        self.changed.emit()

    def _moment(self) -> Moment:
        session = self._session
        states = session.states()
        painted = [(state, packed) for state in states if (packed := self._seen(state))]
        return Moment(
            tuple((s, s.prompts.items) for s in states if s.prompts.items),
            session.classes.list.items,
            tuple(painted),
            frozenset(x for x in session.viewer.layers if kind_of(x) == "synthetic"),
        )

    def _seen(self, state: SlideState) -> Packed | None:
        """Give what is painted on a slide, looked at anew if that may be other now."""
        brush = self._session.classes.brush
        layer = brush.layer(state)
        if layer is None:
            self._bands.pop(state, None)
            return None
        known, bands = self._bands.get(state, (None, LabelBands()))
        if known is not layer or state in self._touched or brush.is_unsettled(layer):
            bands.look(np.asarray(layer.data))
            self._bands[state] = layer, bands
            self._touched.discard(state)
        return bands.packed

    def _apply(self, moment: Moment) -> None:
        session = self._session
        # Classes before labels, which are numbers of them, and after them the prompts:
        # maps follow each of them.
        session.classes.list.replace(moment.classes)
        packed = dict(moment.labels)
        prompts = dict(moment.prompts)
        for state in session.states():
            self._paint(state, packed.get(state))
            state.prompts.replace(prompts.get(state, ()))
        layers = session.viewer.layers
        for layer in [x for x in layers if kind_of(x) == "synthetic"]:
            if layer not in moment.layers:
                layers.remove(layer)
        for layer in moment.layers:
            if layer not in layers:
                layers.append(layer)

    def _paint(self, state: SlideState, packed: Packed | None) -> None:
        brush = self._session.classes.brush
        layer = brush.layer(state) if packed is None else brush.make_layer(state)
        self._touched.add(state)
        if layer is None or packed == self._seen(state):
            return
        layer.data = np.zeros_like(layer.data) if packed is None else packed.unpack()
        self._touched.add(state)


def difference(before: Moment, after: Moment) -> str:
    """Say in a word or two what has happened between two moments."""
    if before.layers != after.layers:
        gone = before.layers - after.layers
        return "synthetic layer removed" if gone else "synthetic layer"
    if before.classes != after.classes:
        more = len(after.classes) - len(before.classes)
        return "class removed" if more < 0 else "class" if more else "class changed"
    if before.prompts != after.prompts:
        more = sum(len(p) for _, p in after.prompts)
        more -= sum(len(p) for _, p in before.prompts)
        return "click" if more > 0 else "click taken back" if more else "click moved"
    return "labels" if before.labels != after.labels else ""
