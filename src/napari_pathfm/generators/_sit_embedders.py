"""What a SiT is told besides its latents: the time, and a class or a feature vector."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

_FREQUENCIES = 256
#: Of the sines of time and place.
MAX_PERIOD = 10_000


class TimeEmbedder(nn.Module):
    """Time in 0..1, not multiplied by anything, as cosines and sines."""

    def __init__(self, width: int) -> None:
        super().__init__()
        enter = nn.Linear(_FREQUENCIES, width)
        self.mlp = nn.Sequential(enter, nn.SiLU(), nn.Linear(width, width))

    def forward(self, t: Tensor) -> Tensor:
        half = _FREQUENCIES // 2
        steps = torch.arange(half, dtype=torch.float32, device=t.device)
        rates = torch.exp(-math.log(MAX_PERIOD) * steps / half)
        angles = t.float()[:, None] * rates
        waves = torch.cat([angles.cos(), angles.sin()], 1)
        out: Tensor = self.mlp(waves.to(next(self.mlp.parameters()).dtype))
        return out


class ClassEmbedder(nn.Module):
    """A table of classes; its last row stands for no class."""

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(classes + 1, width)

    def forward(self, condition: Tensor | None, n: int) -> Tensor:
        table = self.embedding_table.weight
        return table[-1].expand(n, -1) if condition is None else table[condition]


class FeatureEmbedder(nn.Module):
    """A linear map of a feature vector.

    No condition is a learned vector, in the space of the features or of the
    transformer, or zeros where the weights bring none.
    """

    def __init__(self, into: int, width: int, null_dim: int | None) -> None:
        super().__init__()
        self.proj = nn.Linear(into, width)
        self.null: nn.Parameter | None = None
        if null_dim is not None:
            if null_dim not in (into, width):
                raise ValueError(f"a null condition of {null_dim} fits nothing")
            self.null = nn.Parameter(torch.zeros(null_dim))

    def forward(self, condition: Tensor | None, n: int) -> Tensor:
        weight = self.proj.weight
        if condition is not None:
            out: Tensor = self.proj(condition.to(weight.dtype))
            return out
        null = weight.new_zeros(weight.shape[1]) if self.null is None else self.null
        known: Tensor = self.proj(null) if len(null) == weight.shape[1] else null
        return known.expand(n, -1)
