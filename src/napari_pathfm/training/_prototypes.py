"""Losses over prototypes: DINO on CLS, iBOT on patch tokens, KoLeo; and their head.

Sources: DINO (Caron et al. 2021), iBOT (Zhou et al. 2022), the Sinkhorn-Knopp
assignment of SwAV (Caron et al. 2020), KoLeo (Sablayrolles et al. 2019), all as DINOv2
(Oquab et al. 2024) puts them together. Scores are cosines, within -1 .. 1.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import nn

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from torch import Tensor

    from napari_pathfm.training._ranks import Ranks

_ROUNDS = 3  # of Sinkhorn-Knopp, in SwAV and DINOv2
_MOVES = 8  # of k-means


class Head(nn.Module):
    """DINO's head: an MLP of three layers, unit length, cosines to prototypes.

    DINO's last layer is weight-normalised with its gain held at 1: the same as the
    cosine to the rows of a free matrix.

    Parameters
    ----------
    dim, hidden, bottleneck, prototypes : int
        Widths from token to scores.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, following in pairwise((dim, hidden, hidden, bottleneck)):
            layers += [nn.Linear(width, following), nn.GELU()]
        self.mlp = nn.Sequential(*layers[:-1])
        for layer in self.mlp:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.prototypes = nn.Parameter(torch.randn(prototypes, bottleneck))

    def forward(self, tokens: Tensor) -> Tensor:
        """Score tokens ``(..., dim)``: ``(..., prototypes)``."""
        inner = F.normalize(self.mlp(tokens), dim=-1, eps=1e-6)
        return F.linear(inner, F.normalize(self.prototypes, dim=-1))


@torch.no_grad()
def sinkhorn(scores: Tensor, temperature: float, ranks: Ranks) -> Tensor:
    """Assign rows to prototypes so that each prototype gets the same share.

    Parameters
    ----------
    scores : Tensor
        ``(n, K)`` cosines of this process's rows.
    temperature : float
        Lower is sharper.
    ranks : Ranks
        The shares are those of all processes' rows.

    Returns
    -------
    Tensor
        float32 ``(n, K)``; every row sums to 1.
    """
    # The shift cancels out, and keeps exp within float32.
    share = torch.exp((scores.float() - 1) / temperature)
    for _ in range(_ROUNDS):
        share = share / ranks.total(share.sum(0, keepdim=True))
        share = share / share.sum(1, keepdim=True)
    return share


def cross_entropy(scores: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Cross-entropy ``(...)`` of scores ``(..., K)`` to what is wanted of them."""
    return -(wanted * F.log_softmax(scores.float() / temperature, -1)).sum(-1)


def dino(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    temperature: float,
    *,
    same: bool,
) -> Tensor:
    """Mean cross-entropy over pairs of a student's and a teacher's view.

    Parameters
    ----------
    student : sequence of Tensor
        Scores ``(n, K)`` of each view; those that the teacher sees come first.
    teacher : sequence of Tensor
        What is wanted, ``(n, K)`` of each of its views.
    temperature : float
        The student's.
    same : bool
        Whether a view is compared with itself: not where the teacher is the student's
        own average, which would be no task.
    """
    pairs = [
        cross_entropy(said, wanted, temperature).mean()
        for i, said in enumerate(student)
        for j, wanted in enumerate(teacher)
        if same or i != j
    ]
    return torch.stack(pairs).mean()


def ibot(scores: Tensor, wanted: Tensor, chosen: Tensor, temperature: float) -> Tensor:
    """Mean over images of the mean cross-entropy over their chosen patch tokens.

    An image of which none is chosen counts as zero, as in DINOv2.

    Parameters
    ----------
    scores, wanted : Tensor
        ``(m, K)`` of the chosen tokens, image by image.
    chosen : Tensor
        bool ``(n, t)``, m of them true.
    temperature : float
        The student's.
    """
    share = chosen / chosen.sum(1, keepdim=True).clamp_min(1)
    each = cross_entropy(scores, wanted, temperature) * share[chosen]
    return each.sum() / len(chosen)


def koleo(cls: Tensor) -> Tensor:
    """Spread features: minus the mean logarithm of the distance to the nearest other.

    Parameters
    ----------
    cls : Tensor
        ``(n, D)``, brought to unit length here; n at least 2.
    """
    unit = F.normalize(cls.float(), dim=-1, eps=1e-8)
    with torch.no_grad():
        nearest = (unit @ unit.T).fill_diagonal_(-1).argmax(1)
    distance = F.pairwise_distance(unit, unit[nearest], eps=1e-8)
    return -torch.log(distance + 1e-8).mean()


def entropy(wanted: Tensor) -> Tensor:
    """Mean entropy of distributions ``(..., K)``: the floor of the losses above."""
    return -(wanted * wanted.clamp_min(1e-12).log()).sum(-1).mean()


class Targets(nn.Module):
    """A teacher's frozen head: cosines of centred tokens to prototypes.

    Parameters
    ----------
    dim, prototypes : int
        Length of a token, and how many.
    """

    mean: Tensor
    prototypes: Tensor

    def __init__(self, dim: int, prototypes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("prototypes", torch.zeros(prototypes, dim))

    @torch.no_grad()
    def fit(self, tokens: Tensor, rng: np.random.Generator, key: str) -> None:
        """Find the prototypes in tokens ``(n, dim)`` by spherical k-means.

        Raises
        ------
        PathfmError
            If there are fewer tokens than prototypes.
        """
        count = len(self.prototypes)
        if len(tokens) < count:
            raise PathfmError(
                f"{key}: {count} are more than the {len(tokens)} tokens they are found "
                "in; lower it, or raise teacher.fitted"
            )
        mean = tokens.mean(0)
        self.mean.copy_(mean)
        unit = F.normalize(tokens - mean, dim=1)
        centres = unit[rng.choice(len(unit), count, replace=False).tolist()]
        for _ in range(_MOVES):
            nearest = torch.cat([(p @ centres.T).argmax(1) for p in unit.split(8192)])
            sums = torch.zeros_like(centres).index_add_(0, nearest, unit)
            empty = sums.norm(dim=1) < 1e-6
            # A centre that nothing is nearest to stays where it was.
            centres = torch.where(empty[:, None], centres, F.normalize(sums, dim=1))
        self.prototypes.copy_(centres)

    def forward(self, tokens: Tensor) -> Tensor:
        """Score tokens ``(..., dim)``: ``(..., prototypes)``."""
        # In bf16 a cosine is off by more than low temperatures forgive.
        with torch.autocast(tokens.device.type, enabled=False):
            centred = F.normalize(tokens.float() - self.mean, dim=-1)
            return centred @ self.prototypes.T
