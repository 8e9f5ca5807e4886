"""The loop: schedules, phases, averages, accumulation, and going on after a kill."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_pathfm.errors import OutputError, PathfmError
from napari_pathfm.training._loop import run
from napari_pathfm.training._ranks import Ranks
from napari_pathfm.training._recipe import Group, Phase, grouped
from napari_pathfm.training._tables import Optimiser, Run
from napari_pathfm.training._turn import Turn

CPU = Ranks(torch.device("cpu"))
STARTED = {"recipe": "line", "config": {"run": {"seed": 0}}}


class Line:
    """Fit y = 2x + 1; "second" is another line, fitted by an optimiser of its own."""

    def __init__(self, rate=0.05, second=False, **optimiser):
        torch.manual_seed(0)
        self.module = torch.nn.ModuleDict({"first": torch.nn.Linear(1, 1)})
        self.module["dropped"] = torch.nn.Dropout(0.1)
        self.averages = ("first",)
        self.table = Optimiser(learning_rate=rate, **optimiser)
        self.second = second
        if second:
            self.module["second"] = torch.nn.Linear(1, 1)

    def phases(self):
        names = ("first", "second") if self.second else ("first",)
        return [Phase(n, self.table, grouped(self.module[n])) for n in names]

    def place(self, ranks):
        pass

    def losses(self, turn, phase):
        x = turn.normal(1, stream=0)
        if phase == "second":
            # The gradient flows through `first`, which must not move.
            answer = self.module["second"](self.module["first"](x))
            return {"second": (answer - x).square().mean()}
        answer = self.module["first"](self.module["dropped"](x))
        return {"first": (answer - (2 * x + 1)).square().mean()}

    def after_step(self, step):
        pass

    def figures(self, averaged, side):
        shift = 0.5 if side == "train" else 0.0
        return {"slope": float(averaged["first"].weight) - shift}

    def write(self, averaged, folder, provenance):
        from napari_pathfm.training._checkpoint import write_tensors

        tensors = averaged.state_dict()
        write_tensors(folder / "line.safetensors", tensors, provenance)

    def fingerprints(self):
        return {"data": "noise"}


def settings(steps=6, batch=8, **more):
    given = {"precision": "fp32", "ema": 0.9, "log_every": 2, "save_every": 2}
    return Run(steps=steps, batch=batch, **(given | more))


def lines(folder):
    text = (folder / "log.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def without_clock(folder):
    return [{k: v for k, v in line.items() if k != "seconds"} for line in lines(folder)]


def test_rate_warms_up_and_falls_and_decay_rises():
    table = Optimiser(
        learning_rate=1.0,
        warmup=10,
        final_rate=0.02,
        weight_decay=0.04,
        final_decay=0.4,
    )
    rates = [table.rate_at(i, 100) for i in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == 1.0
    assert rates[55] == pytest.approx(0.51)
    assert rates[100] == pytest.approx(0.02)
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert table.decay_at(50, 100) == pytest.approx(0.22)
    assert table.decay_at(100, 100) == pytest.approx(0.4)


def test_one_step_is_the_one_worked_out_by_hand(tmp_path):
    """AdamW's first step moves by the rate against the gradient's sign, and decays."""
    recipe = Line(rate=0.01, weight_decay=0.1, clip=0.0)
    recipe.module["dropped"].p = 0.0
    before = {k: v.clone() for k, v in recipe.module.state_dict().items()}
    x = Turn(0, 0, 8).normal(1, stream=0).numpy()
    weight, bias = (before[f"first.{n}"].item() for n in ("weight", "bias"))
    error = weight * x + bias - (2 * x + 1)
    gradients = 2 * (error * x).mean(), 2 * error.mean()
    run(recipe, settings(steps=1), tmp_path, CPU, STARTED)
    after = recipe.module.state_dict()
    for name, value, gradient, decay in (
        ("weight", weight, gradients[0], 0.1),
        ("bias", bias, gradients[1], 0.0),
    ):
        # m / sqrt(v) of the first step is g / |g|.
        by_hand = value * (1 - 0.01 * decay) - 0.01 * np.sign(gradient)
        assert after[f"first.{name}"].item() == pytest.approx(by_hand, abs=1e-6)
    line = lines(tmp_path)[0]
    assert line["first"] == pytest.approx(float((error**2).mean()), rel=1e-5)
    assert line["gradient"] == pytest.approx(math.hypot(*gradients), rel=1e-5)


def test_the_average_begins_with_the_first_step_and_follows(tmp_path):
    seen = []

    class Watched(Line):
        def after_step(self, step):
            seen.append(self.module["first"].weight.item())

    averaged = run(Watched(), settings(steps=3), tmp_path, CPU, STARTED)
    by_hand = 0.9 * (0.9 * seen[0] + 0.1 * seen[1]) + 0.1 * seen[2]
    assert averaged["first"].weight.item() == pytest.approx(by_hand, abs=1e-6)


def test_a_phase_moves_its_own_parameters_only(tmp_path):
    both, one = Line(second=True), Line()
    run(both, settings(), tmp_path / "both", CPU, STARTED)
    run(one, settings(), tmp_path / "one", CPU, STARTED)
    # What the second learns from the first does not reach the first.
    torch.testing.assert_close(both.module["first"].weight, one.module["first"].weight)
    fresh = Line(second=True).module["second"].weight
    assert not torch.equal(both.module["second"].weight, fresh)
    assert {"first_rate", "second_gradient"} <= lines(tmp_path / "both")[0].keys()


def test_frozen_parameters_wait(tmp_path):
    class Waiting(Line):
        def phases(self):
            parts = self.module["first"]
            groups = [Group([parts.weight]), Group([parts.bias], frozen=3)]
            return [Phase("all", self.table, groups)]

    recipe = Waiting()
    bias = recipe.module["first"].bias.item()
    run(recipe, settings(steps=3, log_every=1, save_every=1), tmp_path, CPU, STARTED)
    assert recipe.module["first"].bias.item() == bias
    run(Waiting(), settings(steps=4), tmp_path / "longer", CPU, STARTED)
    longer = load_file(tmp_path / "longer" / "line.safetensors")
    assert longer["first.bias"].item() != bias


def test_parts_add_up_to_the_batch(tmp_path):
    whole, parts = Line(), Line()
    for recipe in (whole, parts):
        recipe.module["dropped"].p = 0.0
    run(whole, settings(), tmp_path / "whole", CPU, STARTED)
    run(parts, settings(accumulate=4), tmp_path / "parts", CPU, STARTED)
    torch.testing.assert_close(
        whole.module["first"].weight, parts.module["first"].weight
    )
    assert lines(tmp_path / "whole")[-1]["first"] == pytest.approx(
        lines(tmp_path / "parts")[-1]["first"], rel=1e-4
    )
    with pytest.raises(PathfmError, match=r"run\.batch = 8"):
        run(Line(), settings(accumulate=3), tmp_path / "odd", CPU, STARTED)


def test_the_log_has_both_sides_and_the_gap(tmp_path):
    run(Line(), settings(log_every=1), tmp_path, CPU, STARTED)
    log = lines(tmp_path)
    assert [line["step"] for line in log] == [1, 2, 3, 4, 5, 6]
    assert "gap" not in log[0]
    assert log[1]["gap"]["slope"] == pytest.approx(0.5)
    train, held = log[1]["train"]["slope"], log[1]["held_out"]["slope"]
    assert held == pytest.approx(train + 0.5, abs=1e-5)


def test_the_model_says_what_made_it(tmp_path):
    from safetensors import safe_open

    run(Line(), settings(), tmp_path, CPU, STARTED)
    with safe_open(tmp_path / "line.safetensors", "pt") as file:
        told = json.loads(file.metadata()["provenance"])
    assert told["recipe"] == "line"
    assert told["steps"] == 6
    assert told["from"] == {"data": "noise"}
    assert told["software"].startswith("napari-pathfm ")


def test_another_config_is_refused_by_name(tmp_path):
    run(Line(), settings(), tmp_path, CPU, STARTED)
    other = {
        "recipe": "line",
        "config": {"run": {"seed": 1}, "machine": {"workers": 3}},
    }
    with pytest.raises(PathfmError, match=r"config\.run\.seed \(0, now 1\)"):
        run(Line(), settings(), tmp_path, CPU, other)
    other["config"]["run"]["seed"] = 0
    run(Line(), settings(), tmp_path, CPU, other)


def test_a_loss_without_bounds_stops_the_run(tmp_path):
    class Burst(Line):
        def losses(self, turn, phase):
            losses = super().losses(turn, phase)
            return {
                k: v * (math.inf if turn.step == 3 else 1) for k, v in losses.items()
            }

    with pytest.raises(PathfmError, match="not finite any more at step 4"):
        run(Burst(), settings(), tmp_path, CPU, STARTED)
    assert [line["step"] for line in lines(tmp_path)] == [2]


def test_a_damaged_state_is_one_line(tmp_path):
    run(Line(), settings(steps=2), tmp_path, CPU, STARTED)
    (tmp_path / "state.pt").write_bytes(b"no state")
    with pytest.raises(PathfmError, match=r"state\.pt is damaged"):
        run(Line(), settings(steps=2), tmp_path, CPU, STARTED)


def test_a_full_disk_is_one_line_and_the_checkpoint_stays(tmp_path):
    class Full(Line):
        def write(self, averaged, folder, provenance):
            if provenance["steps"] == 4:
                raise OSError(28, "No space left on device")
            super().write(averaged, folder, provenance)

    with pytest.raises(OutputError, match="No space left on device"):
        run(Full(), settings(), tmp_path, CPU, STARTED)
    whole = run(Line(), settings(), tmp_path / "whole", CPU, STARTED)
    again = run(Line(), settings(), tmp_path, CPU, STARTED)
    torch.testing.assert_close(again["first"].weight, whole["first"].weight)
    assert [line["step"] for line in lines(tmp_path)] == [2, 4, 6]


PROGRAM = """
import os, pathlib, signal, sys
sys.path.insert(0, {here!r})
from test_loop import CPU, STARTED, Line, run, settings

class Killed(Line):
    def losses(self, turn, phase):
        if turn.step == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().losses(turn, phase)

run(Killed(), settings(steps=12), pathlib.Path({out!r}), CPU, STARTED)
"""


def test_a_killed_run_goes_on_to_the_same_weights(tmp_path):
    whole = run(Line(), settings(steps=12), tmp_path / "whole", CPU, STARTED)
    out = tmp_path / "cut"
    program = textwrap.dedent(
        PROGRAM.format(here=os.path.dirname(__file__), out=str(out))
    )
    done = subprocess.run([sys.executable, "-c", program], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL
    assert lines(out)[-1]["step"] == 6
    # As if the kill had come between a line of the log and the state.
    with (out / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "loss": 1}\n{"step": 10, "lo')
    again = run(Line(), settings(steps=12), out, CPU, STARTED)
    torch.testing.assert_close(again["first"].weight, whole["first"].weight)
    assert without_clock(out) == without_clock(tmp_path / "whole")
