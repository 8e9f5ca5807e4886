"""What is asked of a generator, in the words of `synthesis`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import Generator
    from napari_pathfm.slides import Slide
    from napari_pathfm.synthesis import PlacedImages
    from napari_pathfm.viewer.session._models import Models
    from napari_pathfm.viewer.session._script_code import Step

    Verb = Literal["vary", "walk", "steer", "repair", "twin", "extend"]


@dataclass(frozen=True)
class Request:
    """One call of `synthesis`, but for slide and models.

    Attributes
    ----------
    verb : str
        The function's name.
    places : tuple
        What it is given after the slide: a place, two, a mask or a box, level-0.
    settings : dict
        By keyword; they go before those of the panel.
    classifier : Step, optional
        What makes the classifier among the settings again.
    """

    verb: Verb
    places: tuple[Any, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    classifier: Step | None = None

    def carry_out(
        self,
        models: Models,
        slide: Slide,
        generator: Generator,
        encoder: Encoder,
        on_step: Any,
    ) -> PlacedImages:
        """Do it; in a worker only."""
        made: PlacedImages = getattr(models, self.verb)(
            slide, *self.places, generator, encoder, on_step=on_step, **self.settings
        )
        return made
