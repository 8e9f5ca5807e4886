"""The samplers against flows whose solution is known."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators._sampling import follow, guided, scheduler_for
from napari_pathfm.generators._sde import FlowMatchSDEScheduler

MEAN, SPREAD = 1.5, 0.5
SOLVERS = ("euler", "heun", "dpm")


def gaussian(x, t):
    """Exact velocity of the flow to a Gaussian of `MEAN` and `SPREAD`.

    With a = 1 - t, the state has mean a m and variance a^2 s^2 + t^2; the velocity is
    E[e - x | x_t], which conditioning of Gaussians gives.
    """
    a = 1 - t
    variance = a**2 * SPREAD**2 + t**2
    return (t - a * SPREAD**2) / variance * (x - a * MEAN) - MEAN


def solve(sampler, steps, noise, velocity=gaussian, **more):
    return follow(velocity, noise, scheduler_for(sampler, steps), steps, **more)


def exact(noise):
    """Where the flow takes noise: the quantiles of one Gaussian to the other's."""
    return MEAN + SPREAD * noise


@pytest.mark.parametrize("sampler", SOLVERS)
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_straight_flow_is_followed_exactly(sampler, steps):
    target = torch.full((1, 2, 3, 3), 0.7)
    noise = torch.randn(1, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    end = solve(sampler, steps, noise, lambda _x, _t: noise - target)
    # The multistep solver's first time is 0.999, for it cannot start at 1.
    atol = 5e-3 if sampler == "dpm" else 1e-4
    torch.testing.assert_close(end, target, atol=atol, rtol=0)


# The multistep solver starts at 0.999 and ends with a step of first order, so its order
# over the whole way lies between one and two.
@pytest.mark.parametrize(
    ("sampler", "least", "most", "error"),
    [
        ("euler", 0.9, 1.1, 4e-2),
        ("heun", 1.8, 2.3, 4e-4),
        ("dpm", 1.2, 2.3, 6e-3),
    ],
)
def test_solvers_converge_at_their_order(sampler, least, most, error):
    noise = torch.tensor([[[[0.5, 2.0]]]])
    errors = [
        float((solve(sampler, n, noise) - exact(noise)).abs().max()) for n in (40, 160)
    ]
    found = math.log2(errors[0] / errors[1]) / 2
    print(f"{sampler}: order {found:.2f}, error {errors[0]:.1e} at 40 steps")
    assert least < found < most
    assert errors[0] < error


@pytest.mark.parametrize("sampler", SOLVERS)
def test_solvers_end_where_the_flow_does(sampler):
    noise = torch.linspace(-2, 2, 9).view(1, 1, 3, 3)
    end = solve(sampler, 200, noise)
    torch.testing.assert_close(end, exact(noise), atol=1e-2, rtol=0)


@pytest.mark.parametrize("sampler", [*SOLVERS, "sde"])
def test_many_samples_have_the_targets_mean_and_variance(sampler):
    draws = torch.Generator().manual_seed(0)
    noise = torch.randn(1, 1, 200, 200, generator=draws)
    end = solve(
        sampler, 250, noise, generator=draws if sampler == "sde" else None
    ).double()
    # 40,000 samples: standard errors are 0.0025 of the mean, 0.0018 of the deviation;
    # the SDE's steps of 1/260 bias it a little more.
    assert float(end.mean()) == pytest.approx(MEAN, abs=0.02)
    assert float(end.std()) == pytest.approx(SPREAD, abs=0.02)


def test_sde_keeps_the_marginal_variance_on_its_way():
    draws = torch.Generator().manual_seed(0)
    scheduler = FlowMatchSDEScheduler()
    scheduler.set_timesteps(400)
    x = torch.randn(200, 200, generator=draws, dtype=torch.float64)
    for t, then in zip(scheduler.sigmas[:-1], scheduler.sigmas[1:], strict=True):
        x = scheduler.step(gaussian(x, t), t, x, draws, return_dict=False)[0]
        a = 1 - then
        wanted = float((a**2 * SPREAD**2 + then**2).sqrt())
        assert float(x.std()) == pytest.approx(wanted, abs=0.02), float(then)


def test_sde_is_the_published_recipe_step_by_step():
    """Against drift and score written out, not the closed form."""
    scheduler = FlowMatchSDEScheduler()
    scheduler.set_timesteps(5)
    times = np.append(np.linspace(1, 0.04, 5), 0)
    np.testing.assert_allclose(scheduler.sigmas, times, atol=1e-15)
    own, other = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    x = z = torch.randn(2, 3, dtype=torch.float64)
    for number, (t, then) in enumerate(pairwise(times)):
        v = torch.sin(x).float()
        x = scheduler.step(v, t, x, own, return_dict=False)[0]
        score = -(z + (1 - t) * v.double()) / t
        z = z + (v.double() - t * score) * (then - t)
        if number < 4:
            noise = torch.randn(2, 3, generator=other, dtype=torch.float64)
            z = z + math.sqrt(2 * t) * math.sqrt(abs(then - t)) * noise
        assert x.dtype == torch.float64
        torch.testing.assert_close(x, z, rtol=0, atol=1e-12)
    assert torch.equal(own.get_state(), other.get_state())


@pytest.mark.parametrize(
    ("sampler", "steps", "interval", "passes"),
    [
        ("sde", 250, (0.0, 0.75), 435),
        ("sde", 250, (0.0, 1.0), 500),
        ("euler", 50, (0.0, 0.75), 50 + 37),
        ("dpm", 25, (0.0, 0.75), 25 + 18),
        ("heun", 25, (2.0, 3.0), 49),
    ],
)
def test_network_passes_are_as_many_as_stated(sampler, steps, interval, passes):
    seen = []

    def network(x, t, condition, drop):
        seen.append(len(x))
        return torch.zeros_like(x)

    velocity = guided(network, torch.ones(1, 4), 2.5, interval)
    noise = torch.zeros(1, 1, 1, 1)
    draws = torch.Generator() if sampler == "sde" else None
    solve(sampler, steps, noise, velocity, generator=draws)
    assert sum(seen) == passes


@pytest.mark.parametrize("t", [0.9, 0.75, 0.5])
def test_guidance_acts_inside_its_interval_only(t):
    calls = []

    def network(x, times, condition, drop):
        assert (times == t).all()
        calls.append(len(x))
        value = torch.full_like(x, 3.0)
        return (
            value if drop is None else torch.where(drop.view(-1, 1, 1, 1), 1.0, value)
        )

    velocity = guided(network, torch.ones(2, 4), 2.0, (0.0, 0.75))
    values = velocity(torch.zeros(2, 1, 1, 1), t).flatten().tolist()
    inside = t <= 0.75
    assert values == [1 + 2 * (3 - 1) if inside else 3] * 2
    # Both in one batch.
    assert calls == ([4] if inside else [2])


def test_one_batch_gives_what_two_passes_give():
    from napari_pathfm.generators._unet import UNet

    torch.manual_seed(0)
    network = UNet(widths=(32, 32, 32)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.05)
    x, told = torch.randn(1, 8, 8, 8), torch.randn(1, 192)
    got = guided(network, told, 3.0, (0.0, 1.0))(x, 0.5)
    t = torch.tensor([0.5])
    with_it, without = network(x, t, told), network(x, t, None)
    assert (with_it - without).abs().max() > 1e-4
    torch.testing.assert_close(
        got, without + 3 * (with_it - without), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("sampler", [*SOLVERS, "sde"])
def test_every_pass_is_told_with_an_estimate_of_the_end(sampler):
    target, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -1.0)
    seen = []
    solve(
        sampler,
        4,
        noise,
        lambda x, t: (x - target) / t,
        generator=torch.Generator() if sampler == "sde" else None,
        after_pass=lambda done, estimate: seen.append((done, float(estimate))),
    )
    expected = [0, 1, 1, 2, 2, 3, 4] if sampler == "heun" else [1, 2, 3, 4]
    assert [done for done, _ in seen] == expected
    assert all(e == pytest.approx(2.0, abs=1e-5) for _, e in seen)


def test_network_sees_the_dtype_that_was_asked_for():
    seen = []

    def velocity(x, t):
        seen.append(x.dtype)
        return x * 0

    end = solve(
        "sde",
        3,
        torch.ones(1, 1, 1, 1),
        velocity,
        generator=torch.Generator(),
        dtype=torch.bfloat16,
    )
    assert seen == [torch.bfloat16] * 3
    assert end.dtype == torch.float32


def test_unknown_sampler_is_one_line():
    with pytest.raises(PathfmError, match="euler, heun, dpm, sde"):
        scheduler_for("ddim", 5)
