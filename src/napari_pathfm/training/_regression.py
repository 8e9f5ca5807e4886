"""Asking a student for a teacher's features themselves, not for their prototypes.

Our choice for little data and little time: every tile says where it lies along hundreds
of axes, where prototypes say which kind it is. Beside it losses on the tokens
themselves, which similarities are computed of: that tiles, and patches, are as alike as
they are to the teacher (relational distillation, Park et al. 2019), and that two
scanners' views of a tile are nearer to one another than to other tiles (InfoNCE, van
den Oord et al. 2018).
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
_PATCHES = 8  # of each view that are compared with all others


class Axes(nn.Module):
    """The axes along which a teacher's tokens are told.

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
        """Find the leading principal axes of tokens ``(n, dim)``.

        Each is divided by the root of its standard deviation: as they are, the first
        few would be all that counts, and at equal spread the noise of the last.

        Raises
        ------
        PathfmError
            If there are fewer tokens, or numbers in one, than axes.
        """
        self._enough(tokens, key)
        self.mean.copy_(tokens.mean(0))
        values, leading = self._leading(_spread(tokens - self.mean))
        self.axes.copy_(_signed(leading) / values.sqrt().sqrt())

    @torch.no_grad()
    def fit_steady(self, tokens: Tensor, ridge: float, key: str) -> None:
        """Find the axes in which tiles differ and scanners' views of a tile do not.

        Within-class covariance normalisation (Hatch et al. 2006), a class being one
        tile in several renderings: what these change is divided out, then the axes are
        the principal ones.

        Parameters
        ----------
        tokens : Tensor
            ``(n, views, dim)``.
        ridge : float
            Added to the variance within tiles, in mean variances between them: the
            larger, the less the renderings count.
        key : str
            What an error names.

        Raises
        ------
        PathfmError
            As `fit`.
        """
        tiles = tokens.mean(1)
        self._enough(tiles, key)
        self.mean.copy_(tiles.mean(0))
        between = _spread(tiles - self.mean)
        views = tokens.shape[1]
        within = _spread((tokens - tiles[:, None]).flatten(0, 1)) * views / (views - 1)
        within.diagonal().add_(ridge * between.diagonal().mean())
        values, vectors = torch.linalg.eigh(within)
        # Without a ridge to speak of, rounding may leave variances below zero.
        whitened = vectors * values.clamp_min(1e-6 * float(values[-1])).rsqrt()
        _, leading = self._leading(whitened.T @ between @ whitened)
        self.axes.copy_(_signed(whitened @ leading))

    def _enough(self, tokens: Tensor, key: str) -> None:
        count = self.axes.shape[1]
        if min(tokens.shape) < count:
            raise PathfmError(
                f"{key}: {count} axes cannot be found in {len(tokens)} tokens of "
                f"{tokens.shape[1]} numbers; lower it, or raise teacher.fitted"
            )

    def _leading(self, covariance: Tensor) -> tuple[Tensor, Tensor]:
        """Give variances and axes ``(dim, count)``, the largest first."""
        count = self.axes.shape[1]
        values, vectors = torch.linalg.eigh(covariance)
        return values[-count:].flip(0).clamp_min(1e-12), vectors[:, -count:].flip(1)

    def forward(self, tokens: Tensor) -> Tensor:
        """Say where tokens ``(..., dim)`` lie: ``(..., count)``."""
        with torch.autocast(tokens.device.type, enabled=False):
            return (tokens.float() - self.mean) @ self.axes


class Places(nn.Module):
    """What a teacher's maps say of the place in a tile, whatever is seen there.

    Convolutions that are padded with zeros, and position embeddings, leave it; a
    student learns it before anything else, and its maps show the lattice of tiles.

    Parameters
    ----------
    mean : Tensor
        Mean of many tiles' maps, ``(h, w, P)``.
    """

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean - mean.mean((0, 1)))

    def forward(self, maps: Tensor) -> Tensor:
        """Take it out of maps ``(n, h, w, P)``."""
        return maps.float() - self.mean


def _spread(centred: Tensor) -> Tensor:
    return centred.T @ centred / len(centred)


def _signed(axes: Tensor) -> Tensor:
    """Fix the signs, which are free, so that a run is repeated exactly."""
    return axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()


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
        if told.within:
            said, wanted = differences(said), differences(wanted)
        losses["maps"] = told.maps * unlike(said, wanted)
    if told.geometry:
        wanted = module["cls_axes"](pooled)
        losses["geometry"] = told.geometry * geometry(cls, wanted)
    if told.map_geometry:
        step = max(patches.shape[1] // _PATCHES, 1)
        said, wanted = patches, module["patch_axes"](tokens)
        if told.within:
            said, wanted = differences(said), differences(wanted)
        some, theirs = (x[:, ::step].flatten(0, 1) for x in (said, wanted))
        losses["map_geometry"] = told.map_geometry * geometry(some, theirs)
    if told.agree:
        losses["agree"] = told.agree * agreement(*cls.chunk(2))
    return losses


def differences(tokens: Tensor) -> Tensor:
    """Tokens ``(n, t, D)`` less the mean over each view's."""
    return tokens - tokens.mean(1, keepdim=True)


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
