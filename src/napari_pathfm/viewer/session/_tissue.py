"""The tissue mask, found in a worker and outlined on the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.viewer._metadata import entry, entry_for, layers_of
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._slide_layers import add_layer, remove_layers

if TYPE_CHECKING:
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

# Bluish green of Okabe and Ito's set: no tissue has it.
_COLOR = "#009E73"


class Tissue:
    """Shows and hides the tissue outline of the current slide."""

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._job: Job | None = None

    @property
    def shown(self) -> bool:
        """Whether the current slide's outline is on the canvas."""
        state = self._session.current
        if state is None:
            return False
        layers = self._session.viewer.layers
        return bool(layers_of(layers, "tissue", state.fingerprint))

    @property
    def fraction(self) -> float | None:
        """Share of the current slide that is tissue; None while nobody has looked."""
        state = self._session.current
        if state is None or state.tissue is None:
            return None
        return state.tissue.fraction

    @property
    def busy(self) -> bool:
        """Whether it is being looked for."""
        return self._job is not None and self._job.running

    def show(self) -> None:
        """Find the tissue, if nobody has yet, and outline it."""
        state = self._session.current
        if state is None or self.shown or self.busy:
            return
        self._job = Job("Finding tissue")

        def ended(outcome: Outcome) -> None:
            if outcome.state == "failed":
                self._session.report(outcome.error or "The tissue was not found.")
            elif outcome.state == "done" and state.layer in self._session.viewer.layers:
                self._draw(state)
            self.changed.emit()

        self._session.runner.start(lambda job: state.find_tissue(), self._job, ended)
        self.changed.emit()

    def hide(self) -> None:
        """Take the outline away."""
        state = self._session.current
        if state is not None:
            remove_layers(self._session.viewer, "tissue", state.fingerprint)
            self.changed.emit()

    def _draw(self, state: SlideState) -> None:
        from napari.layers import Labels
        from napari.utils.colormaps import DirectLabelColormap

        from napari_pathfm.slides import grid_transform

        mask = state.tissue
        if mask is None:
            return
        scale, translate = grid_transform((0, 0), mask.downsample, state.mpp or 1.0)
        layer = Labels(
            mask.mask.astype("uint8"),
            name="Tissue",
            scale=scale,
            translate=translate,
            units=state.layer.units[-2:],
            colormap=DirectLabelColormap(color_dict={1: _COLOR, None: "transparent"}),
            opacity=1.0,
            metadata=entry_for(
                "tissue",
                entry(state.layer) or {},
                fraction=mask.fraction,
                parameters=mask.parameters,
            ),
        )
        layer.contour = 1
        layer.editable = False
        add_layer(self._session.viewer, layer)
