"""One share of a step's batch, and all the randomness that belongs to it.

Sample ``k`` of a step's batch draws from ``(seed, step, k)``, whichever process takes
it. So a resumed run sees what an uninterrupted one sees, and several processes learn
from the very batch that one alone would.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Stands for the step of what is drawn once, to judge by.
JUDGING = 1 << 40


@dataclass(frozen=True)
class Turn:
    """The samples that one process takes at once.

    Attributes
    ----------
    seed, step : int
        Of the run; the first step is 0.
    batch : int
        Samples in the step, over all processes and parts.
    part, parts : int
        Which of the pieces that a process takes one after another (accumulation).
    rank, ranks : int
        Which of the processes.
    kept : dict
        Empty at first; whatever the phases of a step want to hand to one another.
    """

    seed: int
    step: int
    batch: int
    part: int = 0
    parts: int = 1
    rank: int = 0
    ranks: int = 1
    kept: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def size(self) -> int:
        """How many samples these are."""
        return self.batch // (self.ranks * self.parts)

    @property
    def first(self) -> int:
        """Place of the first of them in the step's batch."""
        return (self.rank * self.parts + self.part) * self.size

    def sample(self, i: int, stream: int = 0) -> np.random.Generator:
        """Randomness of the ``i``-th of these samples.

        Parameters
        ----------
        i : int
            In 0 .. `size`.
        stream : int
            Another number, other randomness: one for every purpose.
        """
        return np.random.default_rng((self.seed, self.step, self.first + i, stream))

    def normal(self, *shape: int, stream: int) -> Tensor:
        """Normal noise, float32 ``(size, *shape)``, on the CPU."""
        import torch

        drawn = [
            self.sample(i, stream).standard_normal(shape, np.float32)
            for i in range(self.size)
        ]
        return torch.from_numpy(np.stack(drawn))

    def uniform(self, *shape: int, stream: int) -> Tensor:
        """Uniform noise in [0, 1), float32 ``(size, *shape)``, on the CPU."""
        import torch

        drawn = [
            self.sample(i, stream).random(shape, np.float32) for i in range(self.size)
        ]
        return torch.from_numpy(np.stack(drawn))

    def generator(self, stream: int) -> torch.Generator:
        """Randomness of the whole turn; it depends on how the batch is shared out."""
        import torch

        return torch.Generator().manual_seed(self.entropy(stream))

    def entropy(self, stream: int) -> int:
        """Seed for ``(seed, step, first, stream)``, below 2**63."""
        sequence = np.random.SeedSequence((self.seed, self.step, self.first, stream, 1))
        return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))

    def following(self) -> Turn:
        """What this process takes next."""
        if self.part + 1 < self.parts:
            return replace(self, part=self.part + 1, kept={})
        return replace(self, step=self.step + 1, part=0, kept={})


def judging(seed: int, size: int) -> Turn:
    """Give the turn of a fixed set of ``size`` samples to judge by."""
    return Turn(seed, JUDGING, size)
