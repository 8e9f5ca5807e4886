"""The Scalable Interpolant Transformer, with the names that REPA-E's weights carry.

Architecture: Ma et al. 2024 (arXiv:2401.08740) on DiT's blocks (Peebles & Xie 2023);
the projectors and the latents' batch norm are REPA-E's (Leng et al. 2025). The names of
the submodules are those of the published state dicts, so that loading needs no table.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn

from napari_pathfm.generators._sit_embedders import (
    MAX_PERIOD,
    ClassEmbedder,
    FeatureEmbedder,
    TimeEmbedder,
)


class _PatchEmbed(nn.Module):
    def __init__(self, channels: int, width: int, patch: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, width, patch, stride=patch)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.proj(x)
        return out.flatten(2).transpose(1, 2)


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, width = x.shape
        qkv = self.qkv(x).view(n, tokens, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        mixed = F.scaled_dot_product_attention(q, k, v)
        out: Tensor = self.proj(mixed.transpose(1, 2).reshape(n, tokens, width))
        return out


class _Mlp(nn.Module):
    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc2(F.gelu(self.fc1(x), approximate="tanh"))
        return out


def _plain_norm(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Normalise without affine part, then shift and scale by the embedding."""
    unit = F.layer_norm(x, x.shape[-1:], eps=1e-6)
    return torch.addcmul(shift[:, None], unit, 1 + scale[:, None])


class _Block(nn.Module):
    """Attention and MLP, each shifted, scaled and gated by time and condition."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attn = _Attention(width, heads)
        self.mlp = _Mlp(width, hidden)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift1, scale1, gate1, shift2, scale2, gate2 = self.adaLN_modulation(c).chunk(
            6, -1
        )
        x = x + gate1[:, None] * self.attn(_plain_norm(x, shift1, scale1))
        out: Tensor = x + gate2[:, None] * self.mlp(_plain_norm(x, shift2, scale2))
        return out


class _FinalLayer(nn.Module):
    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, out)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, x: Tensor, c: Tensor) -> Tensor:
        shift, scale = self.adaLN_modulation(c).chunk(2, -1)
        out: Tensor = self.linear(_plain_norm(x, shift, scale))
        return out


class SiTTransformer2DModel(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """Velocity of a linear flow on latents, given time and a condition.

    Parameters
    ----------
    sample_size : int
        Side of the latents.
    patch_size, in_channels : int
        Side of a token in latents; channels of the latents.
    num_layers, num_attention_heads, attention_head_dim : int
        The default is SiT-XL.
    mlp_ratio : float
        Hidden width of the MLPs over the width.
    num_classes : int or None
        Condition on a class; the table has one row more, for none.
    condition_dim : int or None
        Condition on a feature vector of this length instead.
    null_dim : int or None
        Length of the learned vector that stands for no feature vector.
    projector_dims : sequence of int
        Lengths of the features that training aligned with; these heads are kept with
        the weights and never run.
    projector_width : int
        Hidden width of those heads.
    latent_statistics : bool
        Whether the mean and variance of the latents come with the weights.
    """

    _no_split_modules = ("_Block",)
    _supports_gradient_checkpointing = False

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        sample_size: int = 32,
        patch_size: int = 2,
        in_channels: int = 4,
        num_layers: int = 28,
        num_attention_heads: int = 16,
        attention_head_dim: int = 72,
        mlp_ratio: float = 4.0,
        num_classes: int | None = 1000,
        condition_dim: int | None = None,
        null_dim: int | None = None,
        projector_dims: tuple[int, ...] = (),
        projector_width: int = 2048,
        latent_statistics: bool = True,
    ) -> None:
        super().__init__()
        if (num_classes is None) == (condition_dim is None):
            raise ValueError("give either num_classes or condition_dim")
        width = num_attention_heads * attention_head_dim
        side = sample_size // patch_size
        self.x_embedder = _PatchEmbed(in_channels, width, patch_size)
        self.t_embedder = TimeEmbedder(width)
        self.y_embedder: nn.Module = (
            ClassEmbedder(num_classes, width)
            if num_classes is not None
            else FeatureEmbedder(int(condition_dim or 0), width, null_dim)
        )
        self.pos_embed = nn.Parameter(position_table(side, width), requires_grad=False)
        self.blocks = nn.ModuleList(
            _Block(width, num_attention_heads, round(width * mlp_ratio))
            for _ in range(num_layers)
        )
        if projector_dims:
            self.projectors = nn.ModuleList(
                _projector(width, projector_width, dim) for dim in projector_dims
            )
        self.final_layer = _FinalLayer(width, patch_size**2 * in_channels)
        if latent_statistics:
            self.bn = nn.BatchNorm2d(in_channels, eps=1e-4, affine=False)

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        condition: Tensor | None = None,
        drop: Tensor | None = None,
        return_dict: bool = True,
    ) -> Any:
        """Give the velocity ``noise - image``.

        Parameters
        ----------
        hidden_states : Tensor
            Latents ``(N, C, h, w)``.
        timestep : Tensor
            ``(N,)`` in 0..1, where 1 is noise.
        condition : Tensor, optional
            ``(N, D)`` float, or ``(N,)`` classes; none without.
        drop : Tensor, optional
            bool ``(N,)``: the rows that are to have no condition after all.
        return_dict : bool
            Whether to wrap the result as diffusers' models do.
        """
        x, c = self.enter(hidden_states, timestep, condition, drop)
        for block in self.blocks:
            x = block(x, c)
        velocity = self.leave(x, c, hidden_states.shape)
        return Transformer2DModelOutput(velocity) if return_dict else (velocity,)

    def enter(
        self,
        latents: Tensor,
        timestep: Tensor,
        condition: Tensor | None = None,
        drop: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Give the tokens before the first block, and what every block is told."""
        x = self.x_embedder(latents) + self.pos_embed
        told = self.y_embedder(condition, len(latents))
        if condition is not None and drop is not None:
            told = torch.where(drop[:, None], self.y_embedder(None, len(drop)), told)
        return x, self.t_embedder(timestep) + told

    def leave(self, x: Tensor, c: Tensor, shape: torch.Size) -> Tensor:
        """Turn the tokens after the last block into a velocity of that shape."""
        n, _, height, width = shape
        patch = self.config.patch_size
        x = self.final_layer(x, c)
        grid = x.view(n, height // patch, width // patch, patch, patch, -1)
        return grid.permute(0, 5, 1, 3, 2, 4).reshape(n, -1, height, width)

    def denormalize(self, latents: Tensor) -> Tensor:
        """Take latents of unit variance to what the autoencoder decodes."""
        scale, mean = self._statistics(latents)
        return latents * scale + mean

    def normalize(self, latents: Tensor) -> Tensor:
        """Take the autoencoder's latents to unit variance; undoes `denormalize`."""
        scale, mean = self._statistics(latents)
        return (latents - mean) / scale

    def _statistics(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        mean, variance = self.bn.running_mean, self.bn.running_var
        if not self.config.latent_statistics or mean is None or variance is None:
            return latents.new_ones(()), latents.new_zeros(())
        # Without the eps of the norm: so REPA-E's samplers have it.
        scale = variance.to(latents.dtype).sqrt()[:, None, None]
        return scale, mean.to(latents.dtype)[:, None, None]


def _projector(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden),
        nn.SiLU(),
        nn.Linear(hidden, hidden),
        nn.SiLU(),
        nn.Linear(hidden, out),
    )


def position_table(side: int, width: int) -> Tensor:
    """Fixed sines and cosines ``(1, side ** 2, width)``: columns first, then rows."""
    quarter = width // 4
    rates = 1 / MAX_PERIOD ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
    axis = torch.cat([angles.sin(), angles.cos()], 1)
    columns = axis[None].expand(side, -1, -1)
    rows = axis[:, None].expand(-1, side, -1)
    return torch.cat([columns, rows], -1).reshape(1, side * side, width).float()
