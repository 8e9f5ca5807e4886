"""Samplers of a rectified flow: time runs from 1 (noise) to 0 (image).

The path is linear, ``x_t = (1 - t) x + t e``, and the network gives the velocity
``e - x`` (SiT, Ma et al. 2024, as REPA-E uses it). Guidance acts inside an interval of
time only (Kynkäänniemi et al. 2024); outside it the unconditional pass is skipped.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Velocity = Callable[[Tensor, float], Tensor]


def guided(
    network: Callable[[Tensor, Tensor, Tensor | None], Tensor],
    condition: Tensor | None,
    guidance: float,
    interval: tuple[float, float],
) -> Velocity:
    """Give the velocity under classifier-free guidance.

    Parameters
    ----------
    network : callable
        ``network(x, t, condition)`` with ``x (N, C, h, w)``, ``t (N,)``.
    condition : Tensor or None
        ``(N, D)``; None is the unconditional flow.
    guidance : float
        1 is the plain conditional flow.
    interval : (float, float)
        Times at which guidance acts, both ends included.
    """
    low, high = interval

    def velocity(x: Tensor, t: float) -> Tensor:
        times = torch.full((len(x),), t, device=x.device)
        told = network(x, times, condition)
        if condition is None or guidance == 1 or not low <= t <= high:
            return told
        untold = network(x, times, None)
        return untold + guidance * (told - untold)

    return velocity


def heun(
    velocity: Velocity,
    noise: Tensor,
    steps: int,
    after_step: Callable[[int, Tensor], None],
) -> Tensor:
    """Follow the flow with Heun's method: two velocities a step, one in the last.

    Parameters
    ----------
    velocity : callable
        ``velocity(x, t)``.
    noise : Tensor
        ``(N, C, h, w)`` at time 1.
    steps : int
        Steps of equal length.
    after_step : callable
        Called as ``after_step(step, estimate)`` with what the flow points to, the image
        that a straight line from here would reach.

    Returns
    -------
    Tensor
        Latents at time 0.
    """
    x = noise
    times = torch.linspace(1, 0, steps + 1).tolist()
    for step, (now, then) in enumerate(pairwise(times), start=1):
        here = velocity(x, now)
        ahead = x + (then - now) * here
        # At time 0 the network was never trained, so the last step is Euler's.
        if then > 0:
            here = (here + velocity(ahead, then)) / 2
            ahead = x + (then - now) * here
        x = ahead
        after_step(step, x - then * here)
    return x
