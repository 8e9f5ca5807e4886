"""What the panel shows and the tools change, about one viewer; no Qt.

The session follows the viewer: its slide is that of the active layer, be it the slide
itself or anything of ours that lies on it; else the one before; else the newest.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_pathfm.errors import PathfmError
from napari_pathfm.viewer._cache import cache_folder
from napari_pathfm.viewer._notices import notify
from napari_pathfm.viewer.session._across import Across
from napari_pathfm.viewer.session._classes import Classes
from napari_pathfm.viewer.session._compare import Compare
from napari_pathfm.viewer.session._fidelity import Fidelity
from napari_pathfm.viewer.session._fine import Fine
from napari_pathfm.viewer.session._gallery import Gallery
from napari_pathfm.viewer.session._given_store import GivenStores
from napari_pathfm.viewer.session._history import History
from napari_pathfm.viewer.session._jobs import InlineRunner, Job
from napari_pathfm.viewer.session._models import Models
from napari_pathfm.viewer.session._open_slides import OpenSlides
from napari_pathfm.viewer.session._overview import Overview
from napari_pathfm.viewer.session._prompts import Prompt
from napari_pathfm.viewer.session._regions import Regions
from napari_pathfm.viewer.session._repairs import Extensions, Repairs, Twins
from napari_pathfm.viewer.session._saving import SECTIONS, restore, save
from napari_pathfm.viewer.session._script import Script
from napari_pathfm.viewer.session._script_record import record_slide
from napari_pathfm.viewer.session._similarity import Similarity
from napari_pathfm.viewer.session._slide_head import SlideHead
from napari_pathfm.viewer.session._slide_layers import rescale_layers
from napari_pathfm.viewer.session._steering import Steering
from napari_pathfm.viewer.session._synthesis import Synthesis
from napari_pathfm.viewer.session._tissue import Tissue
from napari_pathfm.viewer.session._virtual import Virtual

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel

    from napari_pathfm.viewer._notices import Severity
    from napari_pathfm.viewer.session._jobs import Runner
    from napari_pathfm.viewer.session._prompts import Role
    from napari_pathfm.viewer.session._sections import Section
    from napari_pathfm.viewer.session._slide_state import SlideState


class Session:
    """The state of the work in one viewer.

    Parameters
    ----------
    viewer : ViewerModel
        napari's own, with or without a window.
    runner : Runner, optional
        Does long work; at once where none is given.
    models : Models, optional
        Where encoders and generators come from.
    cache : Path, optional
        Folder for embedding stores.
    """

    slide_changed = Signal()
    prompts_changed = Signal()
    message_changed = Signal()

    def __init__(
        self,
        viewer: ViewerModel,
        runner: Runner | None = None,
        *,
        models: Models | None = None,
        cache: Path | None = None,
    ) -> None:
        self.viewer = viewer
        self.runner: Runner = runner or InlineRunner()
        self.models = models or Models()
        self.cache = cache or cache_folder()
        self.current: SlideState | None = None
        self.message = ""
        self._slides = OpenSlides(viewer, self._on_opened, self.report)
        self._prepared: set[str] = set()
        # What a session file has; whoever has more to keep adds a section here.
        self.sections: list[Section] = list(SECTIONS)
        # From a session file, for slides that are not there and by parts that are not.
        self.missing_slides: list[dict[str, Any]] = []
        self.waiting_prompts: dict[str, list[list[Any]]] = {}
        self.unknown_sections: dict[str, Any] = {}
        self.script = Script(self)
        self.tissue = Tissue(self)
        self.similarity = Similarity(self)
        self.stores = GivenStores(self)
        self.gallery = Gallery(self)
        self.across = Across(self)
        self.regions = Regions(self)
        self.fine = Fine(self)
        self.classes = Classes(self)
        self.synthesis = Synthesis(self)
        self.repairs = Repairs(self)
        self.twins = Twins(self)
        self.extensions = Extensions(self)
        self.steering = Steering(self)
        self.virtual = Virtual(self)
        self.fidelity = Fidelity(self)
        self.compare = Compare(self)
        self.head = SlideHead(self)
        self.overview = Overview(self)
        self.history = History(self)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        viewer.layers.selection.events.active.connect(self._on_layers)
        self._on_layers()
        self.history.clear()

    def close(self) -> None:
        """Let go of the viewer; its layers stay."""
        layers = self.viewer.layers
        layers.events.inserted.disconnect(self._on_layers)
        layers.events.removed.disconnect(self._on_layers)
        layers.selection.events.active.disconnect(self._on_layers)
        self.classes.close()
        self.fine.close()
        self.virtual.close()
        self.regions.close()
        self.compare.close()
        self.runner.close()
        self.synthesis.close()
        self.overview.close()
        self.script.close()
        for state in self._slides.close():
            self.stores.release(state)
        self.current = None

    # -- what a person does ------------------------------------------------------------

    def prompt(self, world: tuple[float, ...], role: Role = "like") -> bool:
        """Add a prompt at a world position, as a click does, or say why not.

        Returns
        -------
        bool
            Whether it was added.
        """
        state = self.ready_at(world)
        if state is None:
            return False
        self.say("")
        state.prompts.add(*state.level0(world), role)
        return True

    def ready_at(self, world: tuple[float, ...]) -> SlideState | None:
        """Give the current slide if work at a world position makes sense, or say no."""
        state = self.current
        if state is None:
            self.say("Open a slide first.")
        elif state.mpp is None:
            self.say("Enter the slide's pixel size first.")
        elif not state.contains(*state.level0(world)):
            self.say("That place is outside the slide.")
        else:
            return state
        return None

    def set_mpp(self, mpp: float) -> None:
        """Set the current slide's pixel size; all that lies on it moves along.

        Tiles were cut at the old size, so what was computed from them goes.
        """
        state = self.current
        if state is None or state.mpp == mpp:
            return
        self.similarity.forget(state)
        self.classes.forget(state)
        self.synthesis.cancel()
        self.virtual.forget(state)
        self.tissue.hide()
        try:
            grown = state.set_mpp(mpp)
        except PathfmError as error:
            self.report(error)
            return
        record_slide(self, state)
        if grown is not None:
            rescale_layers(self.viewer, state, grown)
        self.say("")
        self.history.clear()
        self.slide_changed.emit()
        self.viewer.reset_view()
        self.similarity.refresh()

    def prepare(self, *, models: bool = False) -> None:
        """Have a worker import ahead what a click needs, once; nobody has to wait.

        Parameters
        ----------
        models : bool
            What encoders need, too: somebody has taken the tool in hand.
        """
        call = self.models.prepare_models if models else self.models.prepare
        if call.__name__ in self._prepared:
            return
        self._prepared.add(call.__name__)
        self.runner.start(lambda _: call(), Job("Preparing"), lambda _: None)

    # -- session files -----------------------------------------------------------------

    def save(self, path: Path) -> list[str]:
        """Write a session file; see `_saving.save`."""
        return save(self, path)

    def restore(self, path: Path) -> list[str]:
        """Bring back what a session file holds; see `_saving.restore`."""
        told = restore(self, path)
        self.history.clear()
        return told

    def states(self) -> list[SlideState]:
        """Give what is known of every slide that is open, from below."""
        return self._slides.states()

    # -- what the parts say ------------------------------------------------------------

    def say(self, text: str) -> None:
        """Show a quiet line, in the panel and in napari's status bar."""
        if text:
            self.viewer.status = text
        if text != self.message:
            self.message = text
            self.message_changed.emit()

    def report(self, error: Exception | str, severity: Severity = "error") -> None:
        """Show a failure where it is seen."""
        notify(severity, str(error))
        self.say(str(error))

    # -- following the viewer ----------------------------------------------------------

    def _on_layers(self) -> None:
        for state in self._slides.closed():
            self._on_closed(state)
        chosen = self._slides.choose(self.current)
        if chosen is not self.current:
            self.current = chosen
            self.say("")
            self.slide_changed.emit()
            self.prompts_changed.emit()

    def _on_opened(self, state: SlideState) -> None:
        if waiting := self.waiting_prompts.pop(state.fingerprint, None):
            state.prompts.replace(Prompt(*prompt) for prompt in waiting)
        state.prompts.changed.connect(self._on_prompts)
        self.stores.follow(state)
        record_slide(self, state)

    def _on_closed(self, state: SlideState) -> None:
        self.stores.release(state)
        state.prompts.changed.disconnect(self._on_prompts)
        self.similarity.forget(state)
        self.fine.forget(state)
        self.classes.forget(state)
        self.virtual.forget(state)
        if self.current is state:
            self.synthesis.cancel()
        self.history.clear()

    def _on_prompts(self) -> None:
        self.prompts_changed.emit()
        self.similarity.refresh()
