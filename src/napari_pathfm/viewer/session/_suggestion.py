"""Label here next: one tile at a time, to be labelled or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_pathfm.viewer.session._slide_layers import outline_tile, remove_layers

if TYPE_CHECKING:
    from napari_pathfm.viewer._metadata import Kind
    from napari_pathfm.viewer.session._classes import Classes
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState


_KIND: Kind = "suggestion"


class Suggestion:
    """The tile of the current slide whose label would teach most.

    Parameters
    ----------
    session : Session
    classes : Classes
        Whose classifier is in doubt.
    """

    changed = Signal()

    def __init__(self, session: Session, classes: Classes) -> None:
        self._session = session
        self._classes = classes
        self._skipped: dict[SlideState, list[int]] = {}
        self._state: SlideState | None = None
        self._again = False
        self.row: int | None = None
        session.slide_changed.connect(self.leave)
        classes.changed.connect(self._on_classes)

    @property
    def possible(self) -> bool:
        """Whether there is a classifier that can be in doubt."""
        answer = self._classes.answer
        return answer is not None and answer.maps is not None

    @property
    def text(self) -> str:
        """What the classifier thinks of the tile."""
        answer = self._classes.answer
        if self.row is None or answer is None or answer.maps is None:
            return ""
        chances = answer.maps.chances[self.row]
        names = [one.name for one in answer.maps.classes]
        order = np.argsort(-chances)[:3]
        return " · ".join(f"{names[i]} {chances[i]:.0%}" for i in order)

    def next(self) -> None:
        """Go to the next one."""
        from napari_pathfm.heatmaps import label_next

        state, answer = self._session.current, self._classes.answer
        if state is None or answer is None or answer.maps is None:
            return
        skip = np.array(self._skipped.get(state, []), np.int64)
        rows = label_next(
            answer.vectors, answer.maps.chances, answer.tiles.rows, 1, skip=skip
        )
        self._state = state
        self.row = int(rows[0]) if len(rows) else None
        if self.row is None:
            remove_layers(self._session.viewer, _KIND, state.fingerprint)
            self._session.say("Every embedded tile is labelled, or was skipped.")
        else:
            grid = answer.vectors.grid
            x, y = (float(v) for v in grid.coords[self.row] + grid.tile_size / 2)
            camera = self._session.viewer.scene.camera
            camera.center = (0.0, *state.world(x, y))
            viewer = self._session.viewer
            outline_tile(viewer, state, _KIND, "Label next", (x, y), grid.tile_size)
        self.changed.emit()

    def accept(self) -> None:
        """Label it with the class in hand; the next one follows from the new fit."""
        state, answer, row = self._state, self._classes.answer, self.row
        if state is None or answer is None or row is None:
            return
        self._again = True
        grid = answer.vectors.grid
        self._classes.brush.fill(state, grid, row, self._classes.list.current)

    def skip(self) -> None:
        """Leave it unlabelled, and go to the next."""
        if self._state is not None and self.row is not None:
            self._skipped.setdefault(self._state, []).append(self.row)
            self.next()

    def leave(self) -> None:
        """Suggest nothing."""
        if self._state is not None:
            remove_layers(self._session.viewer, _KIND, self._state.fingerprint)
        if self.row is not None:
            self.row = None
            self.changed.emit()

    def _on_classes(self) -> None:
        answer = self._classes.answer
        if self._again and answer is not None and self.row in answer.tiles.rows:
            # This answer has learnt from the last label.
            self._again = False
            self.next()
        else:
            self.changed.emit()
