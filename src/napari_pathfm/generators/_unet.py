"""The bundled generator's denoiser: a small U-Net on latents.

At this size a U-Net gets four to five times further than a transformer in the same time
(docs/performance.md). Time and condition enter every block as a scale and a shift.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_TIME_DIM = 128


class _Block(nn.Module):
    """Two convolutions, modulated by time and condition."""

    def __init__(self, into: int, width: int, embedding: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(8, into)
        self.conv1 = nn.Conv2d(into, width, 3, padding=1)
        self.modulation = nn.Linear(embedding, 2 * width)
        self.norm2 = nn.GroupNorm(8, width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(into, width, 1) if into != width else nn.Identity()
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        inner = self.conv1(F.silu(self.norm1(x)))
        scale, shift = self.modulation(embedding)[..., None, None].chunk(2, 1)
        inner = self.conv2(F.silu(self.norm2(inner) * (1 + scale) + shift))
        out: Tensor = self.skip(x) + inner
        return out


class _Attention(nn.Module):
    """Self-attention over all positions, heads of 32 channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = width // 32
        self.norm = nn.GroupNorm(8, width)
        self.qkv = nn.Conv2d(width, 3 * width, 1)
        self.out = nn.Conv2d(width, width, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        qkv = self.qkv(self.norm(x)).view(n, 3, self.heads, c // self.heads, h * w)
        q, k, v = qkv.unbind(1)  # (n, heads, 32, positions)
        if self.training:
            # The way back takes the fused one several times as long on a CPU.
            weights = (q.transpose(-1, -2) @ k * q.shape[2] ** -0.5).softmax(-1)
            mixed = v @ weights.transpose(-1, -2)
        else:
            q, k, v = (part.transpose(-1, -2) for part in (q, k, v))
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(-1, -2)
        out: Tensor = x + self.out(mixed.reshape(n, c, h, w))
        return out


class UNet(nn.Module):
    """Velocity of a rectified flow on latents, given time and a condition.

    Parameters
    ----------
    channels : int
        Latent channels.
    condition_dim : int
        Length of the condition vector (CLS of the conditioning encoder).
    widths : tuple of int
        Channels at full, half and quarter latent resolution.
    """

    def __init__(
        self,
        channels: int = 8,
        condition_dim: int = 192,
        widths: tuple[int, int, int] = (64, 128, 224),
    ) -> None:
        super().__init__()
        e = 2 * widths[1]
        self.time = nn.Sequential(nn.Linear(_TIME_DIM, e), nn.SiLU(), nn.Linear(e, e))
        self.condition = nn.Sequential(
            nn.Linear(condition_dim, e), nn.SiLU(), nn.Linear(e, e)
        )
        self.null_condition = nn.Parameter(torch.zeros(e))
        self.condition_mean: Tensor
        self.condition_std: Tensor
        self.register_buffer("condition_mean", torch.zeros(condition_dim))
        self.register_buffer("condition_std", torch.ones(condition_dim))
        a, b, c = widths
        self.enter = nn.Conv2d(channels, a, 3, padding=1)
        self.down1 = nn.ModuleList([_Block(a, a, e), _Block(a, a, e)])
        self.halve1 = nn.Conv2d(a, b, 3, stride=2, padding=1)
        self.down2 = nn.ModuleList([_Block(b, b, e), _Block(b, b, e)])
        self.attend2 = _Attention(b)
        self.halve2 = nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.middle1, self.attend3 = _Block(c, c, e), _Attention(c)
        self.middle2 = _Block(c, c, e)
        self.up2 = nn.ModuleList([_Block(c + b, b, e), _Block(2 * b, b, e)])
        self.attend_up = _Attention(b)
        self.up1 = nn.ModuleList([_Block(b + a, a, e), _Block(2 * a, a, e)])
        last = nn.Conv2d(a, channels, 3, padding=1)
        nn.init.zeros_(last.weight)
        self.leave = nn.Sequential(nn.GroupNorm(8, a), nn.SiLU(), last)

    def embed(
        self, t: Tensor, condition: Tensor | None, drop: Tensor | None = None
    ) -> Tensor:
        """Embed time ``(N,)`` in 0..1 and condition ``(N, D)``, or no condition."""
        if condition is None:
            given = self.null_condition.expand(len(t), -1)
        else:
            unit = (condition - self.condition_mean) / self.condition_std
            given = self.condition(unit)
            if drop is not None:
                given = torch.where(drop[:, None], self.null_condition, given)
        return F.silu(self.time(_sinusoid(t)) + given)

    def forward(
        self, x: Tensor, t: Tensor, condition: Tensor | None, drop: Tensor | None = None
    ) -> Tensor:
        """Velocity of latents ``(N, C, h, w)`` at time ``t`` ``(N,)``."""
        return self.features(x, t, condition, drop)[0]

    def features(
        self, x: Tensor, t: Tensor, condition: Tensor | None, drop: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Velocity, and the half-resolution features that training aligns."""
        e = self.embed(t, condition, drop)
        x = self.enter(x)
        s1 = self.down1[0](x, e)
        s2 = self.down1[1](s1, e)
        x = self.halve1(s2)
        s3 = self.down2[0](x, e)
        s4 = self.attend2(self.down2[1](s3, e))
        x = self.halve2(s4)
        x = self.middle2(self.attend3(self.middle1(x, e)), e)
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.up2[0](torch.cat([x, s4], 1), e)
        x = self.attend_up(self.up2[1](torch.cat([x, s3], 1), e))
        x = F.interpolate(x, scale_factor=2.0, mode="nearest")
        x = self.up1[0](torch.cat([x, s2], 1), e)
        x = self.up1[1](torch.cat([x, s1], 1), e)
        return self.leave(x), s4


def _sinusoid(t: Tensor) -> Tensor:
    half = _TIME_DIM // 2
    rates = torch.exp(-math.log(1000) * torch.arange(half, device=t.device) / half)
    angles = 1000 * t.float()[:, None] * rates
    return torch.cat([angles.cos(), angles.sin()], 1)
