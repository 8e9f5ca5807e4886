"""The sampler against flows whose solution is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pathfm.generators._sampling import guided, heun


def quiet(_step, _estimate):
    """Report to nobody."""


def test_straight_flow_is_followed_exactly():
    """Where every path is straight, one step is as good as many."""
    target = torch.full((1, 2, 3, 3), 0.7)
    noise = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    for steps in (1, 2, 7):
        end = heun(lambda _x, _t: noise - target, noise, steps, quiet)
        torch.testing.assert_close(end, target, atol=1e-5, rtol=0)


def test_heun_is_of_second_order():
    """On dx/dt = x the error falls fourfold when the steps are halved."""
    start = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    errors = [
        abs(float(heun(lambda x, _t: x, start, n, quiet)) - np.exp(-1))
        for n in (50, 100)
    ]
    # The last step is Euler's, so the order is between one and two over the whole way.
    assert errors[0] / errors[1] > 3


def test_last_velocity_is_never_asked_at_time_zero():
    times = []
    heun(lambda x, t: times.append(t) or x * 0, torch.ones(1, 1, 1, 1), 5, quiet)
    assert min(times) > 0
    assert len(times) == 9


@pytest.mark.parametrize("t", [0.9, 0.5])
def test_guidance_acts_inside_its_interval_only(t):
    calls = []

    def network(x, times, condition):
        calls.append(condition is not None)
        return torch.full_like(x, 3.0 if condition is not None else 1.0)

    velocity = guided(network, torch.ones(1, 4), 2.0, (0.0, 0.75))
    value = float(velocity(torch.zeros(1, 1, 1, 1), t))
    inside = t <= 0.75
    assert value == (1 + 2 * (3 - 1) if inside else 3)
    assert calls == ([True, False] if inside else [True])


def test_estimate_after_each_step_points_at_the_end():
    target, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -1.0)
    seen = []
    heun(
        lambda _x, _t: noise - target, noise, 4, lambda s, e: seen.append((s, float(e)))
    )
    assert [s for s, _ in seen] == [1, 2, 3, 4]
    assert all(e == pytest.approx(2.0, abs=1e-5) for _, e in seen)
