"""One slide that is open in the viewer, and what is known about it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_pathfm.slides import level0_to_world, open_slide, world_to_level0
from napari_pathfm.viewer._metadata import KEY, entry, slide_entry
from napari_pathfm.viewer.session._prompts import Prompts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari.layers import Image
    from shapely.geometry.base import BaseGeometry

    from napari_pathfm.slides import Slide, TissueMask
    from napari_pathfm.viewer.session._prompts import Role


class SlideState:
    """A slide layer, the file behind it, and its prompts.

    Parameters
    ----------
    layer : napari.layers.Image
        Of kind "slide".

    Raises
    ------
    SlideError
        The file cannot be opened any more.
    """

    changed = Signal()

    def __init__(self, layer: Image) -> None:
        facts = entry(layer) or {}
        own = facts.get("mpp") if facts.get("mpp_source") == "user" else None
        self.layer = layer
        self.slide: Slide = open_slide(facts["path"], mpp=own)
        self.prompts = Prompts()
        # Drawn prompts, level-0; replaced as a whole, so that a worker may read them.
        self.regions: dict[Role, BaseGeometry] = {}
        self.tissue: TissueMask | None = None
        self._tissue_lock = threading.Lock()

    @property
    def fingerprint(self) -> str:
        """Which slide it is."""
        return self.slide.fingerprint

    @property
    def mpp(self) -> float | None:
        """Micrometres per level-0 pixel."""
        return self.slide.mpp

    @property
    def has_like(self) -> bool:
        """Whether anything says what a map should be like."""
        return "like" in self.regions or bool(self.prompts.points("like"))

    def set_mpp(self, mpp: float) -> float | None:
        """Take a person's word for the pixel size; scale, units and entry go together.

        Parameters
        ----------
        mpp : float
            Micrometres per level-0 pixel.

        Returns
        -------
        float or None
            By how much the world has grown; None where it was in pixels.

        Raises
        ------
        SlideError
            It is no such number.
        """
        before = self.slide.mpp
        # A new handle: a worker that is still stopping keeps the old one to its end.
        self.slide = open_slide(self.slide.path, mpp=mpp)
        self.layer.scale = (mpp, mpp)
        self.layer.units = ("um", "um")
        self.layer.metadata[KEY] = slide_entry(self.slide)
        self.tissue = None
        self.changed.emit()
        return None if before is None else mpp / before

    def find_tissue(self) -> TissueMask:
        """Give the tissue mask, found once: a second of work, in a worker only."""
        from napari_pathfm.slides import tissue_mask

        with self._tissue_lock:
            if self.tissue is None:
                self.tissue = tissue_mask(self.slide)
            return self.tissue

    def level0(self, world: Sequence[float]) -> tuple[float, float]:
        """Convert a world position, of which the last two axes count, to level-0."""
        x, y = world_to_level0(list(world)[-2:], self.mpp or 1.0)
        return float(x), float(y)

    def world(self, x: float, y: float) -> tuple[float, float]:
        """Convert level-0 to the world's ``(row, column)``."""
        row, column = level0_to_world((x, y), self.mpp or 1.0)
        return float(row), float(column)

    def contains(self, x: float, y: float) -> bool:
        """Tell whether a level-0 point lies on the slide."""
        width, height = self.slide.dimensions
        return 0 <= x < width and 0 <= y < height
