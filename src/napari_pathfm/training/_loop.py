"""One training loop for every recipe: phases, schedules, average, log, resume."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING, Any

import torch

from napari_pathfm.errors import PathfmError
from napari_pathfm.training import _checkpoint as kept
from napari_pathfm.training._turn import Turn

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._recipe import Phase, Recipe
    from napari_pathfm.training._tables import Run


def run(
    recipe: Recipe, settings: Run, out: Path, ranks: Ranks, started: dict[str, Any]
) -> nn.Module:
    """Train, or go on training, and give the module with its averaged weights.

    Parameters
    ----------
    recipe : Recipe
        What to learn.
    settings : Run
        How long and in which portions.
    out : Path
        Folder of the run.
    ranks : Ranks
        The processes.
    started : dict
        ``recipe``, ``config`` and whatever else the provenance is to say; JSON.

    Raises
    ------
    PathfmError
        If the batch cannot be shared out, the run in ``out`` is another or damaged, or
        a loss is not finite.
    """
    if settings.batch % (ranks.size * settings.accumulate):
        raise PathfmError(
            f"run.batch = {settings.batch} cannot be shared among {ranks.size} "
            f"process(es) in {settings.accumulate} part(s) each"
        )
    started = {**started, "from": dict(recipe.fingerprints())}
    if ranks.rank == 0:
        kept.begin(out, started)
    ranks.wait()
    trainer = _Trainer(recipe, settings, ranks)
    begin = trainer.resume(kept.read_state(out))
    if ranks.rank == 0:
        kept.trim_log(out, begin)
    clock = time.monotonic()
    for step in range(begin, settings.steps):
        try:
            trainer.step(step)
        except torch.cuda.OutOfMemoryError as error:
            raise PathfmError(
                f"the memory of {ranks.device} is full: raise run.accumulate (more, "
                "smaller parts), or set run.checkpointing"
            ) from error
        done = step + 1
        last = done == settings.steps
        if not (last or done % settings.log_every == 0):
            continue
        line = {"step": done, **trainer.line(step)}
        if not math.isfinite(line["loss"]):
            raise PathfmError(
                f"the loss is not finite any more at step {done}: lower the learning "
                f"rate, or use run.precision = 'fp32' ({out} keeps the last checkpoint)"
            )
        save = last or done % settings.save_every == 0
        if ranks.rank == 0:
            if save:
                line |= trainer.judge()
            line["seconds"] = round(time.monotonic() - clock, 1)
            kept.log(out, line)
            if save:
                made = kept.provenance(started, done)
                with kept.writing(out):
                    recipe.write(trainer.averaged, out, made)
                    kept.write_state(out, trainer.state(done))
        ranks.wait()
    return trainer.averaged.eval()


class _Trainer:
    """Module, average and optimisers of a run."""

    def __init__(self, recipe: Recipe, settings: Run, ranks: Ranks) -> None:
        self._recipe = recipe
        self._settings = settings
        self._ranks = ranks
        module = recipe.module.to(ranks.device)
        recipe.place(ranks)
        ranks.same_weights(module)
        self._module = module
        self._phases = tuple(recipe.phases())
        self._trained = [
            p for phase in self._phases for g in phase.groups for p in g.parameters
        ]
        self._optimisers = [_optimiser(phase) for phase in self._phases]
        # Children that are not averaged are shared with the module.
        self.averaged = copy.copy(module)
        self.averaged._modules = dict(module._modules)
        for name in recipe.averages:
            child = copy.deepcopy(module._modules[name])
            assert child is not None
            self.averaged._modules[name] = child.requires_grad_(False)
        self._sums: dict[str, Tensor] = {}
        self._norms: dict[str, Tensor] = {}
        self._count = 0

    def step(self, step: int) -> None:
        """Take one step with every phase."""
        settings, ranks = self._settings, self._ranks
        turns = [
            Turn(
                seed=settings.seed,
                step=step,
                batch=settings.batch,
                part=part,
                parts=settings.accumulate,
                rank=ranks.rank,
                ranks=ranks.size,
            )
            for part in range(settings.accumulate)
        ]
        self._module.train()
        pairs = zip(self._phases, self._optimisers, strict=True)
        for number, (phase, optimiser) in enumerate(pairs):
            self._open(phase)
            for turn in turns:
                self._backward(turn, phase.name, number)
            self._update(phase, optimiser, step)
        for parameter in self._trained:
            parameter.requires_grad_(True)
        self._recipe.after_step(step)
        ranks.same_buffers(self._module)
        self._average(first=step == 0)
        self._count += 1

    def _open(self, phase: Phase) -> None:
        """Let this phase's parameters alone have gradients."""
        for parameter in self._trained:
            parameter.requires_grad_(False)
            parameter.grad = None
        for group in phase.groups:
            for parameter in group.parameters:
                parameter.requires_grad_(True)

    def _backward(self, turn: Turn, phase: str, number: int) -> None:
        torch.manual_seed(turn.entropy(1000 + number))
        device = self._ranks.device.type
        lower = self._settings.precision == "bf16"
        with torch.autocast(device, torch.bfloat16, enabled=lower):
            losses = self._recipe.losses(turn, phase)
        total = torch.stack([loss.float() for loss in losses.values()]).sum()
        (total / turn.parts).backward()
        for name, loss in losses.items():
            value = loss.detach().float() / turn.parts
            self._sums[name] = self._sums.get(name, 0) + value

    def _update(
        self, phase: Phase, optimiser: torch.optim.Optimizer, step: int
    ) -> None:
        table, steps = phase.optimiser, self._settings.steps
        rate, decay = table.rate_at(step, steps), table.decay_at(step, steps)
        parameters = []
        for group, given in zip(phase.groups, optimiser.param_groups, strict=True):
            given["lr"] = rate * group.rate
            given["weight_decay"] = decay * group.decay
            if step < group.frozen:
                for parameter in group.parameters:
                    parameter.grad = None
            parameters += [p for p in group.parameters if p.grad is not None]
        self._ranks.share(p.grad for p in parameters if p.grad is not None)
        most = table.clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(parameters, most)
        self._norms[phase.name] = norm
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    @torch.no_grad()
    def _average(self, *, first: bool) -> None:
        """Move the average; it begins as the weights after the first step."""
        for name in self._recipe.averages:
            now = self._module.get_submodule(name).state_dict()
            average = self.averaged.get_submodule(name).state_dict()
            for key, value in average.items():
                if first or not value.is_floating_point():
                    value.copy_(now[key])
                else:
                    value.lerp_(now[key], 1 - self._settings.ema)

    def line(self, step: int) -> dict[str, Any]:
        """Mean losses since the last line, over all processes, and the optimisers'."""
        names = list(self._sums)
        sums = torch.stack([self._sums[name] for name in names]) / self._count
        means = (self._ranks.total(sums) / self._ranks.size).tolist()
        line: dict[str, Any] = {"loss": _rounded(sum(means))}
        line |= {name: _rounded(v) for name, v in zip(names, means, strict=True)}
        for phase in self._phases:
            mark = f"{phase.name}_" if len(self._phases) > 1 else ""
            rate = phase.optimiser.rate_at(step, self._settings.steps)
            line[f"{mark}rate"] = _rounded(rate)
            line[f"{mark}gradient"] = _rounded(float(self._norms[phase.name]))
        self._sums, self._count = {}, 0
        return line

    def judge(self) -> dict[str, Any]:
        """Figures on both sides, and the gap between them."""
        self.averaged.eval()
        with torch.inference_mode():
            held = dict(self._recipe.figures(self.averaged, "held_out"))
            train = dict(self._recipe.figures(self.averaged, "train"))
        gap = {name: held[name] - train[name] for name in held if name in train}
        sides = {"train": train, "held_out": held, "gap": gap}
        return {
            side: {name: _rounded(value) for name, value in figures.items()}
            for side, figures in sides.items()
            if figures
        }

    def state(self, step: int) -> dict[str, Any]:
        """Give all that a run needs to go on."""
        return {
            "step": step,
            "module": self._module.state_dict(),
            "averaged": {
                name: self.averaged.get_submodule(name).state_dict()
                for name in self._recipe.averages
            },
            "optimisers": [o.state_dict() for o in self._optimisers],
        }

    def resume(self, state: dict[str, Any] | None) -> int:
        """Take a state up, and say which step comes next."""
        if state is None:
            return 0
        self._module.load_state_dict(state["module"])
        for name, tensors in state["averaged"].items():
            self.averaged.get_submodule(name).load_state_dict(tensors)
        for own, told in zip(self._optimisers, state["optimisers"], strict=True):
            own.load_state_dict(told)
        return int(state["step"])


def _optimiser(phase: Phase) -> torch.optim.Optimizer:
    table = phase.optimiser
    groups: Sequence[dict[str, Any]] = [
        {"params": list(group.parameters)} for group in phase.groups
    ]
    betas = (table.beta1, table.beta2)
    return torch.optim.AdamW(list(groups), table.learning_rate, betas)


def _rounded(value: float) -> float:
    """Six significant digits: what a log needs, and no noise of the machine."""
    return float(f"{value:.6g}")
