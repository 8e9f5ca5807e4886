"""Asking a student for a teacher's features themselves, not for their prototypes.

Our choice for little data and little time: every tile says where it lies along hundreds
of axes, where prototypes say which kind it is. Beside it two losses on CLS alone, which
is what similarities are computed of: that tiles are as alike as they are to the teacher
(relational distillation, Park et al. 2019), and that two scanners' views of a tile are
nearer to one another than to other tiles (InfoNCE, van den Oord et al. 2018).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import nn

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from torch import Tensor

    from napari_pathfm.training._encoder_config import Losses

_TEMPERATURE = 0.1  # of InfoNCE, as SimCLR's best


class Axes(nn.Module):
    """The leading principal axes of a teacher's tokens.

    Parameters
    ----------
    dim, count : int
        Length of a token, and how many axes are kept.
    """

    mean: Tensor
    axes: Tensor

    def __init__(self, dim: int, count: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("axes", torch.zeros(dim, count))

    @torch.no_grad()
    def fit(self, tokens: Tensor, key: str) -> None:
        """Find the axes in tokens ``(n, dim)``.

        Each is divided by the root of its standard deviation: as they are, the first
        few would be all that counts, and at equal spread the noise of the last.

        Raises
        ------
        PathfmError
            If there are fewer tokens, or numbers in one, than axes.
        """
        count = self.axes.shape[1]
        if min(tokens.shape) < count:
            raise PathfmError(
                f"{key}: {count} axes cannot be found in {len(tokens)} tokens of "
                f"{tokens.shape[1]} numbers; lower it, or raise teacher.fitted"
            )
        self.mean.copy_(tokens.mean(0))
        centred = tokens - self.mean
        values, vectors = torch.linalg.eigh(centred.T @ centred / len(tokens))
        spread = values[-count:].flip(0).clamp_min(1e-12).sqrt()
        leading = vectors[:, -count:].flip(1)
        # The sign of an axis is free; fixed, so that a run is repeated exactly.
        signs = leading.gather(0, leading.abs().argmax(0, keepdim=True)).sign()
        self.axes.copy_(leading * signs / spread.sqrt())

    def forward(self, tokens: Tensor) -> Tensor:
        """Say where tokens ``(..., dim)`` lie: ``(..., count)``."""
        with torch.autocast(tokens.device.type, enabled=False):
            return (tokens.float() - self.mean) @ self.axes


def feature_losses(
    module: Any,
    cls: Tensor,
    patches: Tensor,
    pooled: Tensor,
    tokens: Tensor,
    told: Losses,
) -> dict[str, Tensor]:
    """Give the losses that have a weight.

    Parameters
    ----------
    module : ModuleDict
        ``cls_axes`` and ``patch_axes``, the teacher's; ``cls_words`` and
        ``patch_words``, linear, of the student.
    cls, patches : Tensor
        The student's, ``(n, D)`` and ``(n, t, D)``; views of a tile are half of n
        apart.
    pooled, tokens : Tensor
        The teacher's of the same views, ``(n, C)`` and ``(n, t, P)``.
    told : Losses
        Weights.
    """
    losses = {}
    if told.pooled:
        said, wanted = module["cls_words"](cls), module["cls_axes"](pooled)
        losses["pooled"] = told.pooled * unlike(said, wanted)
    if told.maps:
        said, wanted = module["patch_words"](patches), module["patch_axes"](tokens)
        losses["maps"] = told.maps * unlike(said, wanted)
    if told.geometry:
        wanted = module["cls_axes"](pooled)
        losses["geometry"] = told.geometry * geometry(cls, wanted)
    if told.agree:
        losses["agree"] = told.agree * agreement(*cls.chunk(2))
    return losses


def unlike(said: Tensor, wanted: Tensor) -> Tensor:
    """Mean of one minus the cosine along the last axis."""
    return 1 - F.cosine_similarity(said.float(), wanted, dim=-1).mean()


def geometry(said: Tensor, wanted: Tensor) -> Tensor:
    """Mean squared difference of the cosines between rows of ``(n, ...)``."""
    return F.mse_loss(_cosines(said, said), _cosines(wanted, wanted))


def agreement(one: Tensor, other: Tensor) -> Tensor:
    """InfoNCE of two views ``(n, D)`` of n tiles, in both directions."""
    scores = _cosines(one, other) / _TEMPERATURE
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def _cosines(a: Tensor, b: Tensor) -> Tensor:
    with torch.autocast(a.device.type, enabled=False):
        return F.normalize(a.float(), dim=1) @ F.normalize(b.float(), dim=1).T
