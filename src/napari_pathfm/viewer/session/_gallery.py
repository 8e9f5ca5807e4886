"""The tiles that the similarity map puts highest or lowest, as small pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from psygnal import Signal

from napari_pathfm.viewer._metadata import entry
from napari_pathfm.viewer.session._jobs import Job
from napari_pathfm.viewer.session._slide_layers import keeping_selection

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.heatmaps import Found, Heatmap
    from napari_pathfm.slides import Slide
    from napari_pathfm.viewer.session._jobs import Outcome
    from napari_pathfm.viewer.session._session import Session
    from napari_pathfm.viewer.session._slide_state import SlideState

#: How many tiles are shown.
COUNT = 12
# Side of a picture in pixels.
_SIDE = 56


def small_picture(slide: Slide, x: float, y: float, side: float) -> NDArray[np.uint8]:
    """Read what is around a level-0 point as uint8 ``(56, 56, 3)``.

    Parameters
    ----------
    slide : Slide
        Its pixel size is known.
    x, y : float
        The centre.
    side : float
        Of what is read, in level-0 pixels.
    """
    mpp = side * slide.require_mpp() / _SIDE
    return slide.read(x - side / 2, y - side / 2, _SIDE, _SIDE, mpp=mpp)


class Picture(NamedTuple):
    """A tile of the map: where it is, its value, and what is there.

    Attributes
    ----------
    found : Found
        Level-0 ``(x, y)`` of the centre, and the map's value.
    pixels : uint8 array, (56, 56, 3)
    """

    found: Found
    pixels: NDArray[np.uint8]


class Gallery:
    """The most or least similar tiles of the current slide.

    Parameters
    ----------
    session : Session
        Whose similarity map.
    """

    changed = Signal()

    def __init__(self, session: Session) -> None:
        self._session = session
        self._shown = False
        self._lowest = False
        self._of: Heatmap | None = None
        self._again = False
        self._job: Job | None = None
        self.pictures: list[Picture] = []
        session.similarity.changed.connect(self.refresh)
        session.slide_changed.connect(self.refresh)

    @property
    def possible(self) -> bool:
        """Whether there is a map to choose from."""
        return self._heatmap is not None

    @property
    def shown(self) -> bool:
        """Whether anybody looks: nothing is read otherwise."""
        return self._shown

    @shown.setter
    def shown(self, shown: bool) -> None:
        self._shown = shown
        self._of = None
        self.refresh()
        self.changed.emit()

    @property
    def lowest(self) -> bool:
        """Whether the least similar tiles are shown, in place of the most."""
        return self._lowest

    @lowest.setter
    def lowest(self, lowest: bool) -> None:
        if lowest != self._lowest:
            self._lowest = lowest
            self._of = None
            self.refresh()

    def refresh(self) -> None:
        """Bring the pictures up to the map; while it fills in they wait."""
        job = self._session.similarity.job
        if not self._shown or (job is not None and job.running):
            return
        heatmap, state = self._heatmap, self._session.current
        if heatmap is self._of:
            return
        if heatmap is None or state is None:
            self._of, self.pictures = None, []
            self.changed.emit()
            return
        if self._job is not None and self._job.running:
            self._again = True
            return
        self._of = heatmap
        side = self._tile_size(state)
        slide, lowest = state.slide, self._lowest

        def work(job: Job) -> list[Picture]:
            from napari_pathfm.heatmaps import extremes

            found = extremes(heatmap, COUNT, lowest=lowest)
            return [
                Picture(one, small_picture(slide, one.x, one.y, side)) for one in found
            ]

        self._job = Job("Reading tiles")
        self._session.runner.start(work, self._job, self._ended)

    def go(self, index: int) -> None:
        """Move the view to a tile."""
        state = self._session.current
        if state is not None and index < len(self.pictures):
            found = self.pictures[index].found
            camera = self._session.viewer.scene.camera
            camera.center = (0.0, *state.world(found.x, found.y))

    def annotate(self) -> None:
        """Outline the tiles that are shown, in a layer that can be saved for QuPath."""
        import shapely
        from napari.layers import Layer

        from napari_pathfm.exports import QuPathObject, QuPathObjects, objects_to_layers

        state = self._session.current
        if state is None or not self.pictures:
            return
        half = self._tile_size(state) / 2
        name = "Least similar" if self._lowest else "Most similar"
        objects = [
            QuPathObject(
                shapely.box(one.x - half, one.y - half, one.x + half, one.y + half),
                classification=name,
                measurements={"similarity": one.value},
            )
            for one, _ in self.pictures
        ]
        own = entry(state.layer) or {}
        facts = {key: own.get(key) for key in ("path", "fingerprint")}
        made = objects_to_layers(
            QuPathObjects(objects), mpp=state.mpp, name="Tiles", entry=facts
        )
        with keeping_selection(self._session.viewer):
            for data, keywords, kind in made:
                self._session.viewer.add_layer(Layer.create(data, keywords, kind))

    @property
    def _heatmap(self) -> Heatmap | None:
        state = self._session.current
        return None if state is None else self._session.similarity.heatmap(state)

    def _tile_size(self, state: SlideState) -> float:
        """Side of what the encoder saw, in level-0 pixels."""
        similarity = self._session.similarity
        spec = self._session.models.encoder_spec(similarity.encoder)
        return spec.tile_px * spec.mpp / (state.mpp or 1.0)

    def _ended(self, outcome: Outcome) -> None:
        if outcome.state == "done":
            self.pictures = outcome.value
        elif outcome.error is not None:
            self._session.report(outcome.error)
        self.changed.emit()
        if self._again:
            self._again = False
            self.refresh()
