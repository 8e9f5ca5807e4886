"""Denoisers as training needs them: with the features that are aligned.

A denoiser here is called as ``denoiser(x, t, condition, drop, align_only=False)`` and
gives the velocity (or None) and the projected tokens ``(N, T, D)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from napari_pathfm.generators._sit import SiTTransformer2DModel
from napari_pathfm.generators._unet import UNet

if TYPE_CHECKING:
    from napari_pathfm.training._repae_config import DenoiserTable

Answer = tuple[Tensor | None, Tensor]


class AlignedSiT(nn.Module):
    """A SiT whose tokens after one of the blocks are projected.

    Parameters
    ----------
    sit : SiTTransformer2DModel
        With one projector.
    depth : int
        The block after which the tokens are aligned, counted from 1; REPA-E has 8.
    recompute : bool
        Whether blocks are run again on the way back instead of being remembered:
        a third more work for a fraction of the memory.
    """

    def __init__(
        self, sit: SiTTransformer2DModel, depth: int, *, recompute: bool = False
    ) -> None:
        super().__init__()
        self.sit = sit
        self._depth, self._recompute = depth, recompute

    def token_side(self, latent_side: int) -> int:
        """Tokens along each side of latents."""
        return latent_side // int(self.sit.config.patch_size)

    def told(self, cls: Tensor) -> None:
        """Hear what conditions are like; a SiT takes them as they are."""

    def described(self) -> dict[str, Any]:
        """Give what ``generator.json`` says of it."""
        return {"kind": "sit", "heads": int(self.sit.config.num_attention_heads)}

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        condition: Tensor | None,
        drop: Tensor | None = None,
        *,
        align_only: bool = False,
    ) -> Answer:
        """Give velocity and projected tokens; with `align_only` stop at the latter."""
        shape = x.shape
        x, c = self.sit.enter(x, t, condition, drop)
        x = self._through(self.sit.blocks[: self._depth], x, c)
        projected = self.sit.projectors[0](x)
        if align_only:
            return None, projected
        x = self._through(self.sit.blocks[self._depth :], x, c)
        return self.sit.leave(x, c, shape), projected

    def _through(self, blocks: Any, x: Tensor, c: Tensor) -> Tensor:
        for block in blocks:
            if self._recompute and torch.is_grad_enabled():
                x = checkpoint(block, x, c, use_reentrant=False)
            else:
                x = block(x, c)
        return x

    def published(self, norm: nn.BatchNorm2d | None) -> dict[str, Tensor]:
        """Give the SiT's tensors under REPA-E's names, without what only aligns.

        The latents' statistics go along where they belong to the denoiser.
        """
        tensors = self.sit.state_dict()
        kept = {k: v for k, v in tensors.items() if not k.startswith("projectors.")}
        if norm is not None:
            kept |= {f"bn.{k}": v for k, v in norm.state_dict().items()}
        return kept


class AlignedUNet(nn.Module):
    """The small U-Net, its half-resolution features projected.

    Parameters
    ----------
    unet : UNet
    into : int
        Length of the encoder's tokens.
    hidden : int
        Of the projector.
    """

    def __init__(self, unet: UNet, into: int, hidden: int = 256) -> None:
        super().__init__()
        self.unet = unet
        width = unet.halve2.in_channels
        self.projector = nn.Sequential(
            nn.Conv2d(width, hidden, 1), nn.SiLU(), nn.Conv2d(hidden, into, 1)
        )

    def token_side(self, latent_side: int) -> int:
        """Tokens along each side of latents."""
        return latent_side // 2

    def told(self, cls: Tensor) -> None:
        """Take over mean and spread of conditions ``(N, D)``."""
        self.unet.condition_mean.copy_(cls.mean(0))
        self.unet.condition_std.copy_(cls.std(0).clamp_min(1e-4))

    def described(self) -> dict[str, Any]:
        """Give what ``generator.json`` says of it."""
        a, b = self.unet.halve1.in_channels, self.unet.halve2.in_channels
        return {"kind": "unet", "widths": [a, b, self.unet.halve2.out_channels]}

    def forward(
        self,
        x: Tensor,
        t: Tensor,
        condition: Tensor | None,
        drop: Tensor | None = None,
        *,
        align_only: bool = False,
    ) -> Answer:
        """Give velocity and projected tokens."""
        velocity, inner = self.unet.features(x, t, condition, drop)
        projected = self.projector(inner).flatten(2).transpose(1, 2)
        return None if align_only else velocity, projected

    def published(self, norm: nn.BatchNorm2d | None) -> dict[str, Tensor]:
        """Give the U-Net's tensors; its latents are normalised by the autoencoder."""
        tensors: dict[str, Tensor] = self.unet.state_dict()
        return tensors


Denoiser = AlignedSiT | AlignedUNet


def build_denoiser(
    table: DenoiserTable, *, channels: int, side: int, dim: int, recompute: bool
) -> Denoiser:
    """Make a denoiser with random weights.

    Parameters
    ----------
    table : DenoiserTable
        ``[denoiser]`` of a config.
    channels, side : int
        Of the latents.
    dim : int
        Length of the encoder's CLS and tokens.
    recompute : bool
        See `AlignedSiT`.
    """
    if table.kind == "unet":
        a, b, c = table.widths
        aligned = AlignedUNet(UNet(channels, dim, (a, b, c)), dim)
        return aligned.to(memory_format=torch.channels_last)
    sit = SiTTransformer2DModel(
        sample_size=side,
        patch_size=table.patch,
        in_channels=channels,
        num_layers=table.depth,
        num_attention_heads=table.heads,
        attention_head_dim=table.width // table.heads,
        num_classes=None,
        condition_dim=dim,
        null_dim=table.width,
        projector_dims=(dim,),
        projector_width=table.projector_width,
        latent_statistics=False,
    )
    initialise_sit(sit)
    return AlignedSiT(sit, table.align_depth, recompute=recompute)


def initialise_sit(sit: Any) -> None:
    """Begin as DiT does (Peebles and Xie 2023): every block is the identity."""
    for module in sit.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    patch = sit.x_embedder.proj
    nn.init.xavier_uniform_(patch.weight.view(len(patch.weight), -1))
    nn.init.zeros_(patch.bias)
    for index in (0, 2):
        nn.init.normal_(sit.t_embedder.mlp[index].weight, std=0.02)
    nn.init.normal_(sit.y_embedder.null, std=0.02)
    closed = [block.adaLN_modulation[-1] for block in sit.blocks]
    last = sit.final_layer
    for module in (*closed, last.adaLN_modulation[-1], last.linear):
        nn.init.zeros_(module.weight)
        nn.init.zeros_(module.bias)
