"""The tables of a run's config that every recipe has."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from napari_pathfm.training._config import AtLeast, Between


@dataclass(frozen=True)
class Run:
    """``[run]``: how long, in which portions, how exactly.

    Attributes
    ----------
    steps, batch : int
        Steps in all; samples a step, over all processes.
    accumulate : int
        Pieces that a process takes its share of the batch in, to need less memory.
    seed : int
        All randomness follows from it.
    precision : {"fp32", "bf16"}
        Of the networks' passes; weights and losses are fp32.
    checkpointing : bool
        Compute activations again on the way back rather than keep them.
    ema : float
        Decay of the moving average of the weights.
    log_every, save_every : int
        Steps between lines of the log; between checkpoints, each of which is judged on
        what is held out. The second is a multiple of the first.
    """

    steps: Annotated[int, AtLeast(1)]
    batch: Annotated[int, AtLeast(1)]
    accumulate: Annotated[int, AtLeast(1)] = 1
    seed: Annotated[int, AtLeast(0)] = 0
    precision: Literal["fp32", "bf16"] = "bf16"
    checkpointing: bool = False
    ema: Annotated[float, Between(0, 1)] = 0.9999
    log_every: Annotated[int, AtLeast(1)] = 50
    save_every: Annotated[int, AtLeast(1)] = 500

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.save_every % self.log_every:
            return f"save_every: {self.save_every} is no multiple of log_every"
        return None


@dataclass(frozen=True)
class Machine:
    """``[machine]``: what may differ when a run goes on, as it changes no result.

    Attributes
    ----------
    device : str
        ``"auto"`` (CUDA, then MPS, then CPU) or a torch device.
    workers : int
        Threads that read tiles ahead; 0 reads them when they are needed.
    """

    device: str = "auto"
    workers: Annotated[int, AtLeast(0)] = 2


@dataclass(frozen=True)
class Optimiser:
    """A table of an AdamW; rates rise linearly, then fall by a cosine.

    Attributes
    ----------
    learning_rate : float
        The peak, reached after `warmup` steps.
    final_rate : float
        Share of the peak that the cosine ends at; 1 keeps the rate.
    warmup : int
        Steps.
    weight_decay : float
        Of all but gains and biases.
    final_decay : float
        Where a cosine takes the decay by the end; negative keeps it.
    beta1, beta2 : float
        Of AdamW.
    clip : float
        The largest norm of the gradient; 0 lets any through.
    """

    learning_rate: Annotated[float, AtLeast(0)]
    final_rate: Annotated[float, Between(0, 1)] = 0.0
    warmup: Annotated[int, AtLeast(0)] = 0
    weight_decay: Annotated[float, AtLeast(0)] = 0.0
    final_decay: float = -1.0
    beta1: Annotated[float, Between(0, 1)] = 0.9
    beta2: Annotated[float, Between(0, 1)] = 0.999
    clip: Annotated[float, AtLeast(0)] = 1.0

    def rate_at(self, step: int, steps: int) -> float:
        """Learning rate of a step of ``steps``."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(steps - self.warmup, 1)
        return self.learning_rate * cosine(1.0, self.final_rate, done)

    def decay_at(self, step: int, steps: int) -> float:
        """Weight decay of a step of ``steps``."""
        if self.final_decay < 0:
            return self.weight_decay
        return cosine(self.weight_decay, self.final_decay, step / max(steps, 1))


def cosine(start: float, end: float, done: float) -> float:
    """Half a cosine from ``start`` to ``end``; ``done`` goes from 0 to 1."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
