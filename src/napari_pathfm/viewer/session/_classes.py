"""Few-shot classes of the current slide: labels in, probabilities out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psygnal import Signal

from napari_pathfm.errors import LabelError, PathfmError
from napari_pathfm.heatmaps import load_few_shot, save_few_shot
from napari_pathfm.viewer.session._class_brush import Brush
from napari_pathfm.viewer.session._class_layer import painted_cells
from napari_pathfm.viewer.session._class_list import ClassList
from napari_pathfm.viewer.session._class_result import hide_result, show_result
from napari_pathfm.viewer.session._class_work import Fitting
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._script_record import (
    record_classes,
    record_saved_classifier,
    record_shown_classes,
)
from napari_pathfm.viewer.session._suggestion import Suggestion

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Literal

    from napari_pathfm.heatmaps import FewShot
    from napari_pathfm.viewer.session._class_work import Answer
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

    # The likeliest class of each tile, or the probability of the class in hand.
    Shown = Literal["likeliest", "probability"]


class Classes:
    """Classes, the labels that a person paints, and the map that follows them.

    Classes are the session's: the same names serve every slide. Labels are a slide's.

    Parameters
    ----------
    session : Session
        Whose slides, and whose embeddings.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown: Shown = "likeliest"
        self._answers: dict[SlideState, Answer] = {}
        self._again = False
        self.loaded: FewShot | None = None
        self._path: Path | None = None
        self.job: Job | None = None
        self.list = ClassList()
        self.brush = Brush(session, self.list)
        self.suggestion = Suggestion(session, self)
        self.list.changed.connect(self._on_list)
        self.list.current_changed.connect(self._on_current)
        self.brush.painted.connect(self._on_painted)
        self.brush.changed.connect(self.changed.emit)
        session.similarity.advanced.connect(self._on_advanced)
        session.slide_changed.connect(self.refresh)

    def close(self) -> None:
        """Let go of the viewer; layers stay."""
        self.brush.close()

    @property
    def shown(self) -> Shown:
        """``"likeliest"``, or ``"probability"`` of the class in hand."""
        return self._shown

    @shown.setter
    def shown(self, what: Shown) -> None:
        if what != self._shown:
            self._shown = what
            self._show()
            self.changed.emit()

    @property
    def answer(self) -> Answer | None:
        """The last answer for the current slide."""
        state = self._session.current
        return None if state is None else self._answers.get(state)

    @property
    def loaded_from(self) -> Path | None:
        """Which file the classifier is from, if it is from one."""
        return None if self.loaded is None else self._path

    def paint(self, on: bool = True) -> None:
        """Take the brush in hand, or put it down; the slide is embedded meanwhile."""
        state = self._session.current
        if state is None or state.mpp is None:
            return
        if not on:
            self.brush.put_down(state)
            return
        if not len(self.list):
            self.list.add()
        self.brush.take(state)
        self._session.similarity.embed(state)

    def refresh(self) -> None:
        """Bring the map up to the labels and the embeddings of the current slide."""
        state = self._session.current
        if state is None or state.mpp is None:
            return
        layer = self.brush.layer(state)
        if layer is None and self.loaded is None:
            return
        if self.job is not None and self.job.running:
            self._again = True
            return
        try:
            store = self._session.similarity.store(state)
        except PathfmError:
            # It is being made this moment: more of it will be told of.
            return
        if store is None:
            return
        painted = np.zeros((0, 2)), np.zeros(0, np.int64)
        if layer is not None:
            painted = painted_cells(layer)
        before = self._answers.get(state)
        known = None if before is None else before.classifier
        fitting = Fitting(
            store,
            painted,
            self.list.items,
            self.loaded,
            self._session.similarity.vectors(state),
            1.0 if known is None else known.temperature,
        )
        self.job = job = Job("Fitting classes")
        self._again = False
        job.published.connect(lambda answer: self._take(state, answer))
        self._session.runner.start(
            fitting.run, job, lambda outcome: self._ended(state, outcome)
        )

    def save(self, path: Path) -> None:
        """Write the classifier of the current slide's labels.

        Raises
        ------
        LabelError
            There is none yet.
        OutputError
            The file cannot be written.
        """
        answer = self.answer
        if answer is None or answer.classifier is None:
            raise LabelError("Label two classes first: there is no classifier to save.")
        checked = None if answer.validation is None else answer.validation.to_json()
        save_few_shot(answer.classifier, path, validation=checked)
        if self._session.current is not None:
            record_saved_classifier(self._session, self._session.current, path)

    def load(self, path: Path) -> None:
        """Use a classifier from a file, until labels are painted or classes changed.

        Raises
        ------
        LabelError
            It is no classifier, or damaged.
        """
        loaded = load_few_shot(path)
        if not self.brush.any_painted:
            # Labels are numbers: under other classes they would mean something else.
            self.list.replace(loaded.classes)
        self.loaded, self._path = loaded, path.absolute()
        self._session.say(f"Classes by {path.name}, until labels are painted.")
        if self._session.current is not None:
            self._session.similarity.embed(self._session.current)
        self.refresh()
        self.changed.emit()

    def forget(self, state: SlideState) -> None:
        """Let go of what is known of a slide that is closed or cut anew."""
        self._answers.pop(state, None)
        self._session.script.drop(f"classes {state.fingerprint}")
        hide_result(self._session.viewer, state)

    def _ended(self, state: SlideState, outcome: Outcome) -> None:
        if outcome.state == "done":
            if state.layer in self._session.viewer.layers:
                record_classes(self._session, state, outcome.value)
            self._take(state, outcome.value)
        elif outcome.error is not None:
            self.loaded = None
            self._session.report(outcome.error)
        if self._again:
            self._again = False
            self.refresh()

    def _take(self, state: SlideState, answer: Answer) -> None:
        if state.layer not in self._session.viewer.layers:
            return
        self._answers[state] = answer
        if state is self._session.current:
            self._show()
        self.changed.emit()

    def _show(self) -> None:
        state, answer = self._session.current, self.answer
        if state is None or answer is None:
            return
        if answer.maps is None:
            hide_result(self._session.viewer, state)
            self._session.script.drop(f"classes {state.fingerprint}")
            return
        name = None
        if self._shown == "probability" and len(self.list):
            name = self.list.items[self.list.current].name
        layer = show_result(self._session.viewer, state, answer.maps, name)
        record_shown_classes(self._session, layer, name)

    def _on_painted(self, state: SlideState) -> None:
        self.loaded = None
        if state.layer not in self._session.viewer.layers:
            return
        if self.brush.layer(state) is None:
            # The layer was deleted, and its labels with it.
            self.forget(state)
            self.changed.emit()
        elif state is self._session.current:
            self._session.similarity.embed(state)
            self.refresh()

    def _on_list(self) -> None:
        self.loaded = None
        self.refresh()
        self.changed.emit()

    def _on_current(self) -> None:
        if self._shown == "probability":
            self._show()
        self.changed.emit()

    def _on_advanced(self, state: SlideState) -> None:
        if state is self._session.current:
            self.refresh()
