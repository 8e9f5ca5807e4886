"""The recipes that made the bundled weights: what their configs say, and building them.

They learn on one CPU process from `_bundled_data`, and draw from ``(seed, step)`` as
they did then, so that a config gives the weights it gave.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._config import AtLeast
from napari_pathfm.training._recipe import Phase, grouped
from napari_pathfm.training._tables import Machine, Optimiser, Run

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import torch

    from napari_pathfm.training._fields import Crops
    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._recipe import Recipe
    from napari_pathfm.training._turn import Turn


@dataclass(frozen=True)
class BundledData:
    """``[data]`` of a bundled recipe; `_bundled_data` says the rest.

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
class Parts:
    """``[parts]``: folders of the finished runs that the generator builds on."""

    encoder: str = "runs/encoder"
    autoencoder: str = "runs/autoencoder"


@dataclass(frozen=True)
class BundledConfig:
    """Config of a bundled recipe."""

    run: Run
    optimiser: Optimiser
    data: BundledData
    machine: Machine = field(default_factory=Machine)
    parts: Parts = field(default_factory=Parts)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.run.accumulate != 1:
            return "run.accumulate: the bundled recipes take a batch in one piece"
        if self.machine.device not in ("auto", "cpu"):
            return "machine.device: the bundled recipes run on the CPU"
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
                "the bundled recipes run in one process on the CPU: leave the launcher "
                "out, and set machine.device to 'cpu'"
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


def _crops(config: BundledConfig, root: Path) -> tuple[Crops, Crops, dict[str, Any]]:
    from napari_pathfm.training._bundled_data import (
        HELD_OUT_CASE,
        held_out_sources,
        learning_sources,
    )
    from napari_pathfm.training._fields import Crops

    px, zoom = config.data.crop_px, config.data.zoom
    learning = learning_sources(root)
    facts = {
        "sources": {source.name: len(source.fields) for source in learning},
        "held_out": [HELD_OUT_CASE, "oral test split"],
        "teacher": "EfficientNet-Lite0 (ImageNet)",
    }
    learn = Crops(learning, px, zoom=zoom)
    return learn, Crops(held_out_sources(root), px), facts


def encoder(config: BundledConfig, root: Path) -> Recipe:
    """Build the encoder's recipe."""
    from napari_pathfm.training._distillation import Distillation

    learn, _, facts = _crops(config, root)
    n, batch, seed = config.data.crops, config.run.batch, config.run.seed
    return Distillation(learn, config.optimiser, facts, n=n, batch=batch, seed=seed)


def autoencoder(config: BundledConfig, root: Path) -> Recipe:
    """Build the autoencoder's recipe."""
    from napari_pathfm.training._autoencoding import Autoencoding

    learn, held_out, facts = _crops(config, root)
    batch, seed = config.run.batch, config.run.seed
    return Autoencoding(
        learn, held_out, config.optimiser, facts, batch=batch, seed=seed
    )


def generator(config: BundledConfig, root: Path) -> Recipe:
    """Build the denoiser's recipe, on two finished runs."""
    from safetensors.torch import load_file

    from napari_pathfm.generators._autoencoder import Autoencoder
    from napari_pathfm.training._distillation import Student
    from napari_pathfm.training._flow_matching import FlowMatching
    from napari_pathfm.weights import digest

    student, decoder = Student(), Autoencoder()
    made = {}
    for module, part in (
        (student, config.parts.encoder),
        (decoder, config.parts.autoencoder),
    ):
        path = Path(part) / "averaged.safetensors"
        if not path.is_file():
            raise PathfmError(f"{path} is missing: train that part first, or set parts")
        module.load_state_dict(load_file(path))
        module.eval()
        made[Path(part).name] = digest(path)
    learn, held_out, facts = _crops(config, root)
    return FlowMatching(
        learn,
        held_out,
        student,
        decoder,
        config.optimiser,
        {**facts, "parts": made},
        n=config.data.crops,
        batch=config.run.batch,
        seed=config.run.seed,
    )
