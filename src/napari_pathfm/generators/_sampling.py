"""Sampling a rectified flow: time runs from 1 (noise) to 0 (image).

The path is linear, ``x_t = (1 - t) x + t e``, and the network gives the velocity
``e - x`` (SiT, Ma et al. 2024, as REPA-E uses it). Guidance acts inside an interval of
time only (Kynkäänniemi et al. 2024); outside it the unconditional pass is skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from napari_pathfm.generators._settings import Settings

#: ``network(x, t, condition, drop)``: velocity of ``x (N, C, h, w)`` at ``t (N,)``;
#: rows of the condition where ``drop (N,)`` is true count as none.
Network = Callable[[Tensor, Tensor, Tensor | None, Tensor | None], Tensor]
Velocity = Callable[[Tensor, float], Tensor]
#: ``after_pass(done, estimate)``: whole steps done, and the latents that a straight
#: line from here would reach.
AfterPass = Callable[[int, Tensor], None]
#: ``after_step(x, t)``: the state to go on with, from the one reached at ``t``.
AfterStep = Callable[[Tensor, float], Tensor]


def guided(
    network: Network,
    condition: Tensor | None,
    guidance: float,
    interval: tuple[float, float],
) -> Velocity:
    """Give the velocity under classifier-free guidance.

    Where guidance acts, the passes with and without condition are one batch.

    Parameters
    ----------
    network : callable
        See `Network`.
    condition : Tensor or None
        ``(N, D)``; None is the unconditional flow.
    guidance : float
        1 is the plain conditional flow.
    interval : (float, float)
        Times at which guidance acts, both ends included.
    """
    low, high = interval

    def velocity(x: Tensor, t: float) -> Tensor:
        n = len(x)
        if condition is None or guidance == 1 or not low <= t <= high:
            return network(x, x.new_full((n,), t), condition, None)
        drop = torch.arange(2 * n, device=x.device) >= n
        both = network(
            torch.cat([x, x]),
            x.new_full((2 * n,), t),
            torch.cat([condition, condition]),
            drop,
        )
        told, untold = both.chunk(2)
        return untold + guidance * (told - untold)

    return velocity


def scheduler_for(sampler: str, steps: int) -> Any:
    """Give diffusers' scheduler of that name, its steps laid out.

    Parameters
    ----------
    sampler : str
        ``"euler"`` and ``"heun"`` (two passes a step but for the last) and ``"dpm"``
        (DPM-Solver++ of order 2, multistep) follow the flow; ``"sde"`` adds noise.
    steps : int
        At least one.

    Raises
    ------
    PathfmError
        If there is no such sampler.
    """
    from diffusers import (
        DPMSolverMultistepScheduler,
        FlowMatchEulerDiscreteScheduler,
        FlowMatchHeunDiscreteScheduler,
    )

    from napari_pathfm.generators._sde import FlowMatchSDEScheduler

    scheduler: Any
    if sampler == "euler":
        scheduler = FlowMatchEulerDiscreteScheduler()
        # REPA-E's grid: the scheduler's own would end with a step of a thousandth.
        scheduler.set_timesteps(sigmas=torch.linspace(1, 0, steps + 1)[:-1].tolist())
    elif sampler == "heun":
        scheduler = FlowMatchHeunDiscreteScheduler()
        scheduler.set_timesteps(steps)
    elif sampler == "dpm":
        scheduler = DPMSolverMultistepScheduler(
            use_flow_sigmas=True, prediction_type="flow_prediction"
        )
        scheduler.set_timesteps(steps)
    elif sampler == "sde":
        scheduler = FlowMatchSDEScheduler()
        scheduler.set_timesteps(steps)
    else:
        raise PathfmError(
            f"no sampler is called {sampler!r}: choose one of euler, heun, dpm, sde"
        )
    scheduler.set_begin_index(0)
    return scheduler


def follow(
    velocity: Velocity,
    noise: Tensor,
    scheduler: Any,
    steps: int,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype | None = None,
    after_pass: AfterPass | None = None,
    after_step: AfterStep | None = None,
) -> Tensor:
    """Go from noise to latents; the state stays on the noise's device.

    Parameters
    ----------
    velocity : callable
        ``velocity(x, t)``.
    noise : Tensor
        ``(N, C, h, w)`` at time 1.
    scheduler : diffusers scheduler
        From `scheduler_for`, unused.
    steps : int
        That it was laid out for.
    generator : torch.Generator, optional
        Of the noise that an SDE adds.
    dtype : torch.dtype, optional
        What the network sees; by default that of the noise.
    after_pass : callable, optional
        See `AfterPass`; called after every pass of the network.
    after_step : callable, optional
        See `AfterStep`; called after every pass too, for a sampler of two passes a step
        reaches the next time with each.

    Returns
    -------
    Tensor
        Latents at time 0, of the noise's dtype.
    """
    stochastic = {"generator": generator} if generator is not None else {}
    x, passes = noise, len(scheduler.timesteps)
    sigmas = scheduler.sigmas.tolist()
    # Sigmas and not timesteps: some schedulers round those to integers.
    for number, (timestep, sigma) in enumerate(
        zip(scheduler.timesteps, sigmas, strict=False), start=1
    ):
        seen = x.to(dtype or noise.dtype)
        v = velocity(seen, sigma).to(noise.dtype)
        estimate = x - sigma * v
        x = scheduler.step(v, timestep, x, return_dict=False, **stochastic)[0]
        if after_step is not None:
            x = after_step(x, sigmas[number])
        done = steps if number == passes else number // scheduler.order
        if after_pass is not None:
            after_pass(done, estimate)
    return x.to(noise.dtype)


def sample(
    network: Network,
    condition: Tensor | None,
    shape: tuple[int, int, int],
    seed: int,
    settings: Settings,
    *,
    device: torch.device,
    dtype: torch.dtype = torch.float32,
    after_pass: AfterPass | None = None,
) -> Tensor:
    """Make the latents of one image, float32 ``(1, C, h, w)``.

    Noise is drawn on the CPU, so that a seed means the same on every device.
    """
    draws = torch.Generator().manual_seed(seed)
    noise = torch.randn((1, *shape), generator=draws).to(device)
    return follow(
        guided(network, condition, settings.guidance, settings.interval),
        noise,
        scheduler_for(settings.sampler, settings.steps),
        settings.steps,
        generator=draws if settings.sampler == "sde" else None,
        dtype=dtype,
        after_pass=after_pass,
    )
