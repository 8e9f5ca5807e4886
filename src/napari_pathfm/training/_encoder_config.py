"""What the configs of the two encoder recipes say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np

from napari_pathfm.training._config import AtLeast, Between
from napari_pathfm.training._data import Data  # noqa: TC001 - `build` reads it
from napari_pathfm.training._tables import Machine, Optimiser, Run
from napari_pathfm.training._views import Views, masks, views
from napari_pathfm.training._vit import Model  # noqa: TC001 - `build` reads it

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.training._data import Side
    from napari_pathfm.training._turn import Turn

_Share = Annotated[float, Between(0, 1)]
_Count = Annotated[int, AtLeast(1)]
_Weight = Annotated[float, AtLeast(0)]


@dataclass(frozen=True)
class TeacherTable:
    """``[teacher]`` of a distillation.

    Attributes
    ----------
    encoder : str
        A name of the catalogue, a description's file (from the current folder), or
        ``"efficientnet-lite0"``.
    weights : str or None
        Folder or file of its weights, if not the catalogue's own.
    fitted : int
        Tiles that prototypes and axes are found on, before the first step.
    precision : {"fp32", "bf16"}
        Of EfficientNet-Lite0's passes; an encoder has its own.
    cls_axes, patch_axes : int
        How many principal axes of its features the student is asked for, where the
        losses ``pooled``, ``geometry``, ``maps`` and ``map_geometry`` count.
    ridge : float
        With it, the axes of tiles are those in which renderings of a tile by other
        stains and scanners (``[views]``) differ little, as `Axes.fit_steady` says; 0
        for principal axes.
    """

    encoder: str
    weights: str | None = None
    fitted: _Count = 4096
    precision: Literal["fp32", "bf16"] = "fp32"
    cls_axes: _Count = 256
    patch_axes: _Count = 64
    ridge: Annotated[float, AtLeast(0)] = 0.0


@dataclass(frozen=True)
class Heads:
    """``[heads]``: from tokens to scores of prototypes.

    Attributes
    ----------
    cls_prototypes, patch_prototypes : int
        How many there are for tiles and for patches.
    hidden, bottleneck : int
        Widths of the student's heads.
    frozen : int
        Steps during which the student's own prototypes stay as they began.
    """

    cls_prototypes: _Count
    patch_prototypes: _Count
    hidden: _Count = 2048
    bottleneck: _Count = 256
    frozen: Annotated[int, AtLeast(0)] = 0


@dataclass(frozen=True)
class Losses:
    """``[losses]``: temperatures and weights.

    Attributes
    ----------
    student_temperature : float
        Of the student's scores.
    teacher_temperature, first_temperature, temperature_warmup : float, float, int
        Of the teacher's; it rises from the first in so many steps.
    dino, ibot_hidden, ibot_seen, koleo : float
        Weights. iBOT counts patches that were hidden from the student, and those that
        were not.
    pooled, maps, geometry, map_geometry, agree : float
        Weights in a distillation: the teacher's features of tiles and of patches, how
        alike tiles are to it, and patches, and that two views of a tile are alike (see
        ``views.same``).
    within : bool
        Whether patches are told, and compared, less the mean of their view: where a
        teacher's maps say more of the tile than of the place in it, a student that
        learns them whole draws tiles as blocks.
    hidden_share, hidden_ratio : float, (float, float)
        How many large crops have patches hidden, and which share of them.
    """

    student_temperature: Annotated[float, AtLeast(0.001)] = 0.1
    teacher_temperature: Annotated[float, AtLeast(0.02)] = 0.07
    first_temperature: Annotated[float, AtLeast(0.02)] = 0.04
    temperature_warmup: Annotated[int, AtLeast(0)] = 0
    dino: _Weight = 1.0
    ibot_hidden: _Weight = 1.0
    ibot_seen: _Weight = 0.0
    koleo: _Weight = 0.0
    pooled: _Weight = 0.0
    maps: _Weight = 0.0
    geometry: _Weight = 0.0
    map_geometry: _Weight = 0.0
    agree: _Weight = 0.0
    within: bool = False
    hidden_share: _Share = 0.5
    hidden_ratio: tuple[float, float] = (0.1, 0.5)

    @property
    def by_prototypes(self) -> bool:
        """Whether any loss asks for prototypes."""
        return bool(self.dino or self.ibot_hidden or self.ibot_seen)

    @property
    def by_features(self) -> bool:
        """Whether any asks for the teacher's features, or for agreement."""
        tiles = self.pooled, self.geometry, self.agree
        return any((*tiles, self.maps, self.map_geometry))

    def temperature(self, step: int) -> float:
        """Give the teacher's temperature at a step."""
        if step >= self.temperature_warmup:
            return self.teacher_temperature
        rise = self.teacher_temperature - self.first_temperature
        return self.first_temperature + rise * step / self.temperature_warmup

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        low, high = self.hidden_ratio
        if not 0 <= low <= high <= 1:
            return f"hidden_ratio: {low} to {high} is no range within 0 and 1"
        return None


@dataclass(frozen=True)
class DistilConfig:
    """Config of ``encoder-distillation``; without prototypes it has no `heads`."""

    run: Run
    optimiser: Optimiser
    data: Data
    model: Model
    teacher: TeacherTable
    heads: Heads | None = None
    losses: Losses = field(default_factory=Losses)
    views: Views = field(default_factory=Views)
    machine: Machine = field(default_factory=Machine)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.losses.by_prototypes and self.heads is None:
            return (
                "heads: say how many prototypes there are, or set losses.dino, "
                "losses.ibot_hidden and losses.ibot_seen to 0"
            )
        asked, dim = self.teacher, self.model.dim
        if self.model.projected:
            if not (self.losses.pooled and self.losses.maps):
                return "model.projected: losses.pooled and losses.maps teach the layers"
            for key in ("cls_axes", "patch_axes"):
                if getattr(asked, key) > dim:
                    return f"teacher.{key}: a token has {dim} numbers to say them with"
        if reason := self._unsteady():
            return f"model.steady_axes: {reason}"
        if self.losses.agree and not self.views.same:
            return "losses.agree: two views agree where they show the same: views.same"
        return _sides(self.views, self.model)

    def _unsteady(self) -> str | None:
        kept, projected = self.model.steady_axes, self.model.projected
        if kept and not projected:
            return "there is no layer to have them without model.projected"
        if kept > self.teacher.patch_axes:
            return f"patches are told {self.teacher.patch_axes} (teacher.patch_axes)"
        if projected and self.losses.within and not kept:
            return "what is told within views has no zero of its own: keep some"
        return None


@dataclass(frozen=True)
class DinoConfig:
    """Config of ``encoder-dinov2``.

    Attributes
    ----------
    momentum, final_momentum : float
        Of the teacher, which is the student's moving average; a cosine leads from one
        to the other.
    patch_rate : float
        Times the learning rate, for the patch embedding.
    """

    run: Run
    optimiser: Optimiser
    data: Data
    model: Model
    heads: Heads
    losses: Losses = field(default_factory=Losses)
    views: Views = field(default_factory=Views)
    machine: Machine = field(default_factory=Machine)
    momentum: _Share = 0.992
    final_momentum: _Share = 1.0
    patch_rate: _Weight = 0.2

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.model.projected or self.model.steady_axes:
            return "model.projected: nothing teaches the layers here"
        if self.losses.koleo and self.run.batch // self.run.accumulate < 2:
            return "losses.koleo: it needs two tiles at once"
        return _sides(self.views, self.model)


def _sides(views: Views, model: Model) -> str | None:
    for key in ("global_px", "local_px"):
        if getattr(views, key) % model.patch_px:
            return f"views.{key}: it is no multiple of {model.patch_px}, the patch"
    return None


@dataclass(frozen=True)
class Shown:
    """The views of a turn's tiles, one after another.

    Attributes
    ----------
    clean, large, small : ndarray
        uint8 ``(2 n, g, g, 3)``, twice, and ``(locals * n, l, l, 3)``; the first views
        of all tiles come first, then the second.
    hidden : ndarray
        bool ``(2 n, t)``: patches of ``large`` that the student is not shown.
    """

    clean: NDArray[np.uint8]
    large: NDArray[np.uint8]
    small: NDArray[np.uint8]
    hidden: NDArray[np.bool_]


class Shower:
    """Draws the views that a config asks for.

    Parameters
    ----------
    told : Views
        Which views.
    losses : Losses
        What is hidden.
    patch_px : int
        The student's patch.
    """

    def __init__(self, told: Views, losses: Losses, patch_px: int) -> None:
        self._views, self._losses = told, losses
        self.side = told.global_px // patch_px

    def draw(self, side: Side, turn: Turn) -> Shown:
        """Draw a turn's views, from reading threads where there are any."""
        return self.arrange(side.draw_with(turn, self.make))

    def make(
        self, tile: NDArray[np.uint8], rng: np.random.Generator
    ) -> dict[str, NDArray[np.generic]]:
        """Views and masks of one tile."""
        losses = self._losses
        hidden = [
            masks(rng, self.side, losses.hidden_share, losses.hidden_ratio)
            for _ in range(2)
        ]
        return {**views(tile, rng, self._views), "hidden": np.stack(hidden)}

    def arrange(self, made: list[dict[str, NDArray[np.generic]]]) -> Shown:
        """Put the tiles' views view by view."""
        parts = {}
        for name in ("clean", "global", "local", "hidden"):
            stacked = np.stack([one[name] for one in made], 1)
            parts[name] = stacked.reshape(-1, *stacked.shape[2:])
        return Shown(parts["clean"], parts["global"], parts["local"], parts["hidden"])
