"""One training loop for every recipe: schedule, moving average, log, resume.

A run killed at any moment goes on from its last checkpoint. The randomness of a step
comes from ``(seed, step)`` alone, so a resumed run sees the very batches that an
uninterrupted one sees.
"""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """How long and how fast to learn.

    Attributes
    ----------
    steps : int
        Optimiser steps in all.
    learning_rate : float
        Peak, reached after ``warmup`` steps and taken down to 2 % by a cosine.
    weight_decay, beta2, clip : float
        Of AdamW, and the largest gradient norm.
    ema : float
        Decay of the moving average of the weights, which is what is kept.
    """

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup: int = 50
    beta2: float = 0.99
    clip: float = 1.0
    ema: float = 0.998
    seed: int = 0

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        return self.learning_rate * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done)))


class Recipe(Protocol):
    """What a run learns: the module, and the loss of one batch."""

    @property
    def module(self) -> nn.Module:
        """What is trained."""

    def losses(
        self, numpy_rng: np.random.Generator, torch_rng: torch.Generator
    ) -> Mapping[str, Tensor]:
        """Draw a batch and give its named losses; their sum is minimised."""

    def figures(self, averaged: Any) -> Mapping[str, float]:
        """Judge the averaged weights on what is held out."""


def run(
    recipe: Recipe, schedule: Schedule, out: Path, *, every: int = 100
) -> nn.Module:
    """Train, or go on training, and give the module with its averaged weights.

    Parameters
    ----------
    recipe : Recipe
        What to learn.
    schedule : Schedule
        How long and how fast.
    out : Path
        Folder of this run: ``log.jsonl``, ``averaged.safetensors``, ``state.pt``.
    every : int
        Steps between checkpoints.
    """
    out.mkdir(parents=True, exist_ok=True)
    module = recipe.module
    averaged = torch.optim.swa_utils.AveragedModel(
        module,
        multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(schedule.ema),
        use_buffers=True,
    )
    optimiser = torch.optim.AdamW(
        _groups(module, schedule.weight_decay), betas=(0.9, schedule.beta2)
    )
    start = _resume(out, module, averaged, optimiser)
    began = time.monotonic()
    sums: dict[str, float] = {}
    for step in range(start, schedule.steps):
        numpy_rng = np.random.default_rng((schedule.seed, step))
        torch_rng = torch.Generator().manual_seed(schedule.seed * 1_000_003 + step)
        for group in optimiser.param_groups:
            group["lr"] = schedule.rate_at(step)
        losses = recipe.losses(numpy_rng, torch_rng)
        total = torch.stack(list(losses.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), schedule.clip)
        optimiser.step()
        averaged.update_parameters(module)
        for name, value in losses.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach())
        if (step + 1) % every == 0 or step + 1 == schedule.steps:
            count = (step % every) + 1
            line: dict[str, float] = {"step": step + 1}
            line |= {name: round(value / count, 4) for name, value in sums.items()}
            line |= {k: round(v, 4) for k, v in recipe.figures(averaged.module).items()}
            line["seconds"] = round(time.monotonic() - began, 1)
            _checkpoint(out, module, averaged, optimiser, step + 1, line)
            sums = {}
    trained: nn.Module = averaged.module
    return trained.eval()


def _groups(module: nn.Module, decay: float) -> list[dict[str, object]]:
    """Decay matrices only: gains, biases and tokens are left alone."""
    matrices = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    return [
        {"params": matrices, "weight_decay": decay},
        {"params": others, "weight_decay": 0.0},
    ]


def _checkpoint(
    out: Path,
    module: nn.Module,
    averaged: torch.optim.swa_utils.AveragedModel,
    optimiser: torch.optim.Optimizer,
    step: int,
    line: dict[str, float],
) -> None:
    state = {
        "step": step,
        "module": module.state_dict(),
        "averaged": averaged.state_dict(),
        "optimiser": optimiser.state_dict(),
    }
    part = out / "state.pt.part"
    torch.save(state, part)
    os.replace(part, out / "state.pt")
    save_averaged(averaged.module, out / "averaged.safetensors")
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def _resume(
    out: Path,
    module: nn.Module,
    averaged: torch.optim.swa_utils.AveragedModel,
    optimiser: torch.optim.Optimizer,
) -> int:
    path = out / "state.pt"
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["module"])
    averaged.load_state_dict(state["averaged"])
    optimiser.load_state_dict(state["optimiser"])
    return int(state["step"])


def save_averaged(module: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors, whole or not at all."""
    part = path.with_name(path.name + ".part")
    tensors = {
        k: v.detach().contiguous().clone() for k, v in module.state_dict().items()
    }
    save_file(tensors, part)
    os.replace(part, path)


def load_averaged(module: nn.Module, path: Path) -> nn.Module:
    """Fill a module with weights that ``save_averaged`` wrote; strict."""
    module.load_state_dict(load_file(path))
    return module.eval()
