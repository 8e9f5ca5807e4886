"""Linear layers behind the final norm of a vision transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Projection(nn.Module):
    """One linear layer for CLS and registers, and one for patches.

    They let cosines of tokens be what training asks for: residual streams carry more
    than that, and a norm cannot leave it out.

    Parameters
    ----------
    dim : int
        Length of a token.
    prefix : int
        How many tokens come before the patches.
    """

    def __init__(self, dim: int, prefix: int) -> None:
        super().__init__()
        self._prefix = prefix
        self.tile = nn.Linear(dim, dim)
        self.patch = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Take tokens ``(N, prefix + patches, D)`` to as many."""
        # Both of all tokens: of the few first ones, a product in half precision is
        # rounded in another way when tiles come one by one.
        first, rest = self.tile(tokens), self.patch(tokens)
        return torch.cat([first[:, : self._prefix], rest[:, self._prefix :]], 1)
