"""The losses of REPA-E (Leng et al. 2025), on tensors alone.

Path and target are SiT's: ``x_t = (1 - t) x + t e``, velocity ``e - x``, time 1 is
noise. Every loss is a mean over the batch, and a scalar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

    from napari_pathfm.training._turn import Turn

# Streams of `Turn.sample`.
_TIMES, _NOISE, _DROPPED, _BLURRED = 20, 21, 22, 23


@dataclass(frozen=True)
class Draws:
    """What chance decides of one step of the flow, for ``N`` images.

    Attributes
    ----------
    t : Tensor
        float32 ``(N,)`` in 0..1; 1 is noise.
    noise : Tensor
        float32 of the latents' shape.
    drop : Tensor
        bool ``(N,)``: who goes without its condition.
    """

    t: Tensor
    noise: Tensor
    drop: Tensor


def draw(
    turn: Turn,
    shape: tuple[int, int, int],
    device: torch.device,
    *,
    times: str = "uniform",
    drop: float = 0.1,
) -> Draws:
    """Draw times, noise and dropped conditions for the samples of a turn.

    Parameters
    ----------
    turn : Turn
        Where all randomness comes from.
    shape : (int, int, int)
        Of one image's latents, ``(C, h, w)``.
    device : torch.device
        Where the result goes.
    times : {"uniform", "logit-normal"}
        Uniform is REPA-E's; logit-normal (Esser et al. 2024) spends more on the middle.
    drop : float
        Share of conditions that are dropped, for classifier-free guidance (Ho and
        Salimans 2022).
    """
    if times == "uniform":
        t = turn.uniform(stream=_TIMES)
    else:
        t = torch.sigmoid(turn.normal(stream=_TIMES))
    noise = turn.normal(*shape, stream=_NOISE)
    dropped = turn.uniform(stream=_DROPPED) < drop
    return Draws(t.to(device), noise.to(device), dropped.to(device))


def blurred(cls: Tensor, spread: Tensor, share: float, turn: Turn) -> Tensor:
    """Add noise to conditions (conditioning augmentation, Ho et al. 2022).

    Parameters
    ----------
    cls : Tensor
        Conditions ``(N, D)`` of a turn's samples.
    spread : Tensor
        Their standard deviations over tiles, ``(D,)``.
    share : float
        Standard deviation of the noise, in those.
    turn : Turn
        Where the noise comes from.
    """
    noise = turn.normal(cls.shape[1], stream=_BLURRED).to(cls.device)
    return cls + share * spread * noise


def noised(x: Tensor, draws: Draws) -> Tensor:
    """Go along the straight line from latents ``x`` to noise, to time ``t``."""
    t = draws.t[:, None, None, None]
    return (1 - t) * x + t * draws.noise


def flow_loss(velocity: Tensor, x: Tensor, draws: Draws) -> Tensor:
    """Give the mean squared error of a velocity against ``noise - x``."""
    return F.mse_loss(velocity.float(), draws.noise - x)


def alignment_loss(projected: Tensor, tokens: Tensor) -> Tensor:
    """Give minus the mean cosine of ``(N, T, D)`` to the encoder's tokens (REPA)."""
    return -F.cosine_similarity(projected.float(), tokens.float(), dim=-1).mean()


def tokens_on(patches: Tensor, side: int) -> Tensor:
    """Bring patch tokens ``(N, h, w, D)`` to a lattice of ``side``: ``(N, T, D)``.

    By area: a token of the denoiser sees what lies under it. At 224 px an encoder with
    14 px patches has 16 x 16 tokens where the denoiser has 14 x 14.
    """
    maps = F.interpolate(patches.float().permute(0, 3, 1, 2), (side, side), mode="area")
    return maps.flatten(2).transpose(1, 2)


def kl_loss(mean: Tensor, logvar: Tensor) -> Tensor:
    """Give the divergence from N(0, 1): summed over an image, averaged over images."""
    each = 0.5 * (mean.square() + logvar.exp() - 1 - logvar)
    return each.flatten(1).sum(1).mean()


def edge_loss(a: Tensor, b: Tensor) -> Tensor:
    """Give the L1 distance of the differences between neighbouring pixels."""
    right = F.l1_loss(a[..., 1:] - a[..., :-1], b[..., 1:] - b[..., :-1])
    down = F.l1_loss(a[..., 1:, :] - a[..., :-1, :], b[..., 1:, :] - b[..., :-1, :])
    return (right + down) / 2


def feature_loss(seen: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """Give the L1 distance of feature maps, each over the size of the wanted map."""
    parts = [
        F.l1_loss(a.float(), b.float()) / b.float().abs().mean()
        for a, b in zip(seen, wanted, strict=True)
    ]
    return torch.stack(parts).mean()


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """Give the discriminator's hinge loss on its answers."""
    return (F.relu(1 - real.float()).mean() + F.relu(1 + made.float()).mean()) / 2


def adversary_loss(made: Tensor) -> Tensor:
    """Give what the decoder is asked for: that its images be taken for real."""
    return -made.float().mean()


def psnr(a: Tensor, b: Tensor) -> Tensor:
    """Give the peak signal-to-noise ratio in dB of images in -1..1: ``(N,)``."""
    error = (a - b).float().square().flatten(1).mean(1)
    return 10 * torch.log10(4 / error)
