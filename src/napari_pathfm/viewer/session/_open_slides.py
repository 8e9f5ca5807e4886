"""The slides on the canvas: which are open, and which of them is worked on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._metadata import entry, layers_of
from napari_pathfm.viewer.session._prompt_layer import PromptLayer
from napari_pathfm.viewer.session._slide_state import SlideState

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari.components import ViewerModel
    from napari.layers import Image, Layer


class OpenSlides:
    """What is known of each slide layer, and the layer of its prompts.

    Parameters
    ----------
    viewer : ViewerModel
    opened : callable
        Hears of every new one.
    report : callable
        Hears why one cannot be worked on; its layer stays.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        opened: Callable[[SlideState], object],
        report: Callable[[Exception], object],
    ) -> None:
        self._viewer = viewer
        self._opened = opened
        self._report = report
        self._states: dict[Layer, SlideState] = {}
        self._prompt_layers: dict[SlideState, PromptLayer] = {}
        self._broken: set[Layer] = set()

    def states(self) -> list[SlideState]:
        """Give what is known of every slide that is open, from below."""
        found = [self._state(layer) for layer in self._layers()]
        return [state for state in found if state is not None]

    def closed(self) -> list[SlideState]:
        """Take out those whose layer has gone, and give them."""
        layers = self._viewer.layers
        self._broken = {layer for layer in self._broken if layer in layers}
        gone = [layer for layer in self._states if layer not in layers]
        return [self._forget(layer) for layer in gone]

    def close(self) -> list[SlideState]:
        """Take out all; layers stay."""
        return [self._forget(layer) for layer in list(self._states)]

    def choose(self, before: SlideState | None) -> SlideState | None:
        """Say which one is worked on: the active layer's, else as before, else any."""
        layers = self._viewer.layers
        slides = self._layers()
        active = layers.selection.active
        facts = entry(active)
        if facts is not None:
            own = [
                layer
                for layer in slides
                if (entry(layer) or {})["fingerprint"] == facts.get("fingerprint")
            ]
            if own:
                return self._state(active if active in own else own[-1])
        if before is not None and before.layer in layers:
            return before
        return self._state(slides[-1]) if slides else None

    def _layers(self) -> list[Image]:
        found = layers_of(self._viewer.layers, "slide")
        return [layer for layer in found if layer not in self._broken]

    def _state(self, layer: Image) -> SlideState | None:
        if layer in self._states:
            return self._states[layer]
        try:
            state = SlideState(layer)
        except PathfmError as error:
            # The file behind a layer may have moved; the picture in memory stays.
            self._broken.add(layer)
            self._report(error)
            return None
        self._states[layer] = state
        self._prompt_layers[state] = PromptLayer(self._viewer, state)
        self._opened(state)
        return state

    def _forget(self, layer: Layer) -> SlideState:
        state = self._states.pop(layer)
        self._prompt_layers.pop(state).close()
        return state
