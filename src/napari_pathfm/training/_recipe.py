"""What a recipe is to the loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._tables import Optimiser
    from napari_pathfm.training._turn import Turn


@dataclass(frozen=True)
class Group:
    """Parameters that are treated alike by an optimiser.

    Attributes
    ----------
    parameters : sequence of nn.Parameter
        They have one weight decay and one rate.
    rate, decay : float
        Times the optimiser's learning rate and weight decay.
    frozen : int
        Steps at the beginning during which they stay as they are.
    """

    parameters: Sequence[nn.Parameter]
    rate: float = 1.0
    decay: float = 1.0
    frozen: int = 0


@dataclass(frozen=True)
class Phase:
    """One optimiser, and its share of every step.

    Attributes
    ----------
    name : str
        It stands before the optimiser's figures in the log, if there are several.
    optimiser : Optimiser
        The table of the config.
    groups : sequence of Group
        What it trains. During the phase nothing else gets gradients, though they flow
        through everything: a network of another phase may stand in the way.
    """

    name: str
    optimiser: Optimiser
    groups: Sequence[Group]


def grouped(*modules: nn.Module) -> tuple[Group, Group]:
    """Decay all but gains and biases."""
    every = [p for m in modules for p in m.parameters() if p.requires_grad]
    matrices = [p for p in every if p.ndim > 1]
    return Group(matrices), Group([p for p in every if p.ndim <= 1], decay=0.0)


class Recipe(Protocol):
    """What a run learns.

    The loop does, for every step: for each of `phases`, for each of the step's parts,
    `losses` and backward, then the mean gradient over processes, clipping, and the
    optimiser; then `after_step`; then the moving average. Recipes are built on the CPU
    under ``torch.manual_seed(run.seed)``; the loop moves `module` to the device before
    the first call of `losses`, and `place` everything else.

    The loop calls `losses` under autocast where ``run.precision`` is bf16, with torch's
    global generator seeded for this very turn and phase (so dropout needs no care). A
    loss is computed in fp32 by the recipe: ``said.float()``.
    """

    @property
    def module(self) -> nn.Module:
        """Everything that is trained or belongs into the resumable state.

        Its children (a ``ModuleDict``, say) are what `averages` names. Frozen networks
        that can be loaded again stay outside.
        """

    @property
    def averages(self) -> tuple[str, ...]:
        """Names of the children whose weights get a moving average; ``()`` for none."""

    def phases(self) -> Sequence[Phase]:
        """Give the phases of a step, in their order. Called once."""

    def place(self, ranks: Ranks) -> None:
        """Put what is not in `module` onto ``ranks.device``; keep ``ranks`` for it.

        What a loss asks of the whole batch goes through `Ranks.total`.
        """

    def losses(self, turn: Turn, phase: str) -> Mapping[str, Tensor]:
        """Give the named losses of a phase for the samples of a turn.

        Each is a scalar, a mean over samples, weighted already; the loop minimises the
        sum. All randomness comes from ``turn``. What phases share goes through
        ``turn.kept``. Names are unique over the phases.
        """

    def after_step(self, step: int) -> None:
        """Do what follows a step, such as moving a teacher."""

    def figures(self, averaged: Any, side: str) -> Mapping[str, float]:
        """Judge the averaged weights on fixed samples of a side.

        The loop logs both, and held-out minus train as the gap. Called on one process
        only, in eval and inference mode: nothing here may wait for the others. Give
        nothing where nothing is held out.

        Parameters
        ----------
        averaged : nn.Module
            `module`, the children of `averages` being the averaged ones.
        side : {"train", "held_out"}
            Which samples.
        """

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write the model, for the catalogue to load by path.

        Parameters
        ----------
        averaged : nn.Module
            As in `figures`.
        folder : Path
            Of the run; files are written by `_checkpoint.write_tensors`.
        provenance : mapping
            What the loop knows of the run (`_checkpoint.provenance`).
        """

    def fingerprints(self) -> Mapping[str, Any]:
        """Say what the run learns from: data, teacher and other models it starts with.

        A run goes on only where this is as it was; part of the provenance.
        """
