"""The recipe that made the bundled encoder: what its config says, and building it.

It learns on one CPU process from `_bundled_data`, and draws from ``(seed, step)`` as
it did then, so that its config gives the weights it gave. Autoencoder and generator
come out of the general recipes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._config import AtLeast
from napari_pathfm.training._recipe import Phase, grouped
from napari_pathfm.training._tables import Machine, Optimiser, Run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import torch

    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._recipe import Recipe
    from napari_pathfm.training._turn import Turn


@dataclass(frozen=True)
class BundledData:
    """``[data]`` of the recipe; `_bundled_data` says the rest.

    Attributes
    ----------
    crop_px, zoom : int, (float, float)
        Side of a crop, and the range of the factor by which it is cut larger.
    crops : int
        How many distinct ones are drawn once; 0 draws anew all the time.
    """

    crop_px: Annotated[int, AtLeast(8)]
    zoom: tuple[float, float]
    crops: Annotated[int, AtLeast(0)] = 0


@dataclass(frozen=True)
class BundledConfig:
    """Config of the bundled encoder's recipe."""

    run: Run
    optimiser: Optimiser
    data: BundledData
    machine: Machine = field(default_factory=Machine)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.run.accumulate != 1:
            return "run.accumulate: this recipe takes a batch in one piece"
        if self.machine.device not in ("auto", "cpu"):
            return "machine.device: this recipe runs on the CPU"
        return None


class OnOneProcess:
    """What the bundled recipes share: one phase, everything averaged, plain weights."""

    module: Any

    def __init__(self, optimiser: Optimiser, facts: Mapping[str, Any]) -> None:
        self._optimiser = optimiser
        self._facts = dict(facts)

    @property
    def averages(self) -> tuple[str, ...]:
        """All of it."""
        return tuple(name for name, _ in self.module.named_children())

    def phases(self) -> tuple[Phase, ...]:
        """One."""
        return (Phase("all", self._optimiser, grouped(self.module)),)

    def place(self, ranks: Ranks) -> None:
        """Refuse what these recipes cannot do."""
        if ranks.size > 1 or ranks.device.type != "cpu":
            raise PathfmError(
                "the bundled encoder is trained in one process on the CPU: leave the "
                "launcher out, and set machine.device to 'cpu'"
            )

    def after_step(self, step: int) -> None:
        """Nothing follows."""

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write the averaged weights; `export_bundled` makes the shipped files."""
        from napari_pathfm.training._checkpoint import write_tensors

        tensors = averaged.state_dict()
        write_tensors(folder / "averaged.safetensors", tensors, provenance)

    def fingerprints(self) -> Mapping[str, Any]:
        """What the sources are called and how large they are."""
        return self._facts


def draws(turn: Turn) -> tuple[np.random.Generator, torch.Generator]:
    """Randomness of a step, as the first loop had it."""
    import numpy as np
    import torch

    seed, step = turn.seed, turn.step
    return (
        np.random.default_rng((seed, step)),
        torch.Generator().manual_seed(seed * 1_000_003 + step),
    )


def encoder(config: BundledConfig, root: Path) -> Recipe:
    """Build the encoder's recipe."""
    from napari_pathfm.training._bundled_data import HELD_OUT, learning_sources
    from napari_pathfm.training._distillation import Distillation
    from napari_pathfm.training._fields import Crops

    learning = learning_sources(root)
    facts = {
        "sources": {source.name: len(source.fields) for source in learning},
        "held_out": list(HELD_OUT),
        "teacher": "EfficientNet-Lite0 (ImageNet)",
    }
    crops = Crops(learning, config.data.crop_px, zoom=config.data.zoom)
    n, batch, seed = config.data.crops, config.run.batch, config.run.seed
    return Distillation(crops, config.optimiser, facts, n=n, batch=batch, seed=seed)
