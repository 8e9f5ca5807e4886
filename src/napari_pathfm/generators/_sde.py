"""The sampler that adds noise on the way, in the style of diffusers' schedulers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from diffusers import ConfigMixin, SchedulerMixin
from diffusers.configuration_utils import register_to_config
from diffusers.utils import BaseOutput
from torch import Tensor


@dataclass
class FlowMatchSDESchedulerOutput(BaseOutput):  # type: ignore[misc]
    """What a step gives.

    Attributes
    ----------
    prev_sample : Tensor
        The state one step nearer to the image, float64.
    """

    prev_sample: Tensor


class FlowMatchSDEScheduler(SchedulerMixin, ConfigMixin):  # type: ignore[misc]
    r"""Euler-Maruyama on the reverse SDE of a linear flow, as REPA-E samples.

    With :math:`x_t = (1 - t) x + t e` and velocity :math:`v = e - x`, the score is
    :math:`-(x_t + (1 - t) v) / t`. With diffusion :math:`w(t) = 2t` the drift
    :math:`v - t \cdot score` is :math:`x_t + (2 - t) v`. Time runs in equal steps from
    1 to `sigma_last`; the step from there to 0 follows the drift alone.

    Parameters
    ----------
    num_train_timesteps : int
        What ``timesteps`` are sigmas multiplied by, as elsewhere in diffusers.
    sigma_last : float
        Where noise is last added: the score has no bound at 0.
    """

    order = 1

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self, num_train_timesteps: int = 1000, sigma_last: float = 0.04
    ) -> None:
        self.set_timesteps(num_train_timesteps)

    def set_timesteps(
        self, num_inference_steps: int, device: str | torch.device | None = None
    ) -> None:
        """Lay out the times of as many steps, the last deterministic one included."""
        times = torch.linspace(
            1, self.config.sigma_last, num_inference_steps, dtype=torch.float64
        )
        self.sigmas = torch.cat([times, times.new_zeros(1)])
        self.timesteps = (times * self.config.num_train_timesteps).to(device)
        self.num_inference_steps = num_inference_steps
        self._step_index = 0

    def set_begin_index(self, begin_index: int = 0) -> None:
        """Say which step comes first."""
        self._step_index = begin_index

    def step(
        self,
        model_output: Tensor,
        timestep: float | Tensor,
        sample: Tensor,
        generator: torch.Generator | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Take one step.

        Parameters
        ----------
        model_output : Tensor
            Velocity at `sample`.
        timestep : float or Tensor
            Of ``timesteps``; steps are counted, so it is not looked at.
        sample : Tensor
            The state.
        generator : torch.Generator, optional
            Of the noise; on the CPU, so that a seed means the same on every device.
        return_dict : bool
            Whether to give an output object.
        """
        now, then = self.sigmas[self._step_index : self._step_index + 2].tolist()
        state = sample.double()
        state = state + (state + (2 - now) * model_output.double()) * (then - now)
        if then > 0:
            noise = torch.randn(state.shape, generator=generator, dtype=torch.float64)
            spread = (2 * now * (now - then)) ** 0.5
            state = state + spread * noise.to(state.device)
        self._step_index += 1
        if not return_dict:
            return (state,)
        return FlowMatchSDESchedulerOutput(prev_sample=state)
