"""One step of REPA-E: who learns from which loss.

The autoencoder learns from its reconstruction and from the alignment, through a
denoiser that is held still and normalised by the gathered statistics; the denoiser from
the flow and the alignment, on latents that are cut off from the autoencoder; the critic
from images that are cut off from the decoder. Each of the three has its own optimiser.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch.func import functional_call

from napari_pathfm.training._repae_losses import (
    Draws,
    adversary_loss,
    alignment_loss,
    edge_loss,
    feature_loss,
    flow_loss,
    noised,
)

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_pathfm.training._repae_codecs import AnyCodec
    from napari_pathfm.training._repae_config import Weights
    from napari_pathfm.training._repae_critics import Features, PatchCritic
    from napari_pathfm.training._repae_networks import Denoiser


@dataclass(frozen=True)
class Seen:
    """What the encoder says of ``N`` tiles: ``cls (N, D)``, ``tokens (N, T, D)``."""

    cls: Tensor
    tokens: Tensor


def frozen(module: nn.Module, *arguments: Any, **keywords: Any) -> Any:
    """Call a module whose weights get no gradient; what it is given does."""
    still = {name: value.detach() for name, value in module.named_parameters()}
    return functional_call(module, still, arguments, keywords)


def reconstruction_losses(
    codec: AnyCodec,
    images: Tensor,
    noise: Tensor,
    weights: Weights,
    *,
    eye: Features | None = None,
    critic: PatchCritic | None = None,
    learn: bool,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Give the autoencoder's own losses, weighted; its raw latents and its images.

    Parameters
    ----------
    codec : Codec
    images : Tensor
        float32 ``(N, 3, H, W)`` in -1..1.
    noise : Tensor
        Normal, of the latents' shape.
    weights : Weights
    eye : Features, optional
        Needed where ``weights.features`` is above zero.
    critic : PatchCritic, optional
        Left out until it takes part.
    learn : bool
        Whether the latents' statistics follow this batch here.
    """
    z, kl = codec.latents(images, noise)
    again = codec.decode(z, noise, learn=learn)
    losses = {"l1": weights.l1 * (again - images).abs().mean()}
    if weights.l2:
        losses["l2"] = weights.l2 * (again - images).square().mean()
    if weights.edges:
        losses["edges"] = weights.edges * edge_loss(again, images)
    if weights.features and eye is not None:
        losses["features"] = weights.features * feature_loss(eye(again), eye(images))
    if weights.kl:
        losses["kl"] = weights.kl * kl
    if critic is not None:
        losses["adversary"] = weights.adversary * adversary_loss(frozen(critic, again))
    return losses, z, again


def denoiser_losses(
    denoiser: Denoiser, x: Tensor, seen: Seen, draws: Draws, weights: Weights
) -> dict[str, Tensor]:
    """Give the denoiser's losses on unit latents ``x``, which get no gradient."""
    x = x.detach()
    velocity, projected = denoiser(noised(x, draws), draws.t, seen.cls, draws.drop)
    losses = {"flow": flow_loss(velocity, x, draws)}
    if weights.align:
        losses["align"] = weights.align * alignment_loss(projected, seen.tokens)
    return losses


def end_to_end_loss(
    denoiser: Denoiser, codec: AnyCodec, z: Tensor, seen: Seen, draws: Draws
) -> Tensor:
    """Give the alignment as the autoencoder feels it, through a denoiser held still.

    By the gathered statistics of the latents, so that they are not moved twice a step,
    and with every condition told (our choice).
    """
    x = codec.normalise(z, learn=False)
    _, projected = frozen(
        denoiser, noised(x, draws), draws.t, seen.cls, None, align_only=True
    )
    return alignment_loss(projected, seen.tokens)
