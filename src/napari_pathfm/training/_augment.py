"""Views that differ as stains and scanners differ, on whole batches.

Colour is varied in the haematoxylin-eosin-DAB space of Ruifrok and Johnston (2001), as
Tellez et al. (2018) proposed for augmentation: each stain's density is scaled and
shifted a little, then taken back to RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor

# Rows: optical density of haematoxylin, eosin, DAB in R, G, B (Ruifrok and Johnston).
_STAINS = torch.tensor(
    [[0.650, 0.704, 0.286], [0.072, 0.990, 0.105], [0.268, 0.570, 0.776]]
)


def to_unit(tiles: Tensor) -> Tensor:
    """Turn uint8 ``(N, H, W, 3)`` into float32 ``(N, 3, H, W)`` in 0..1."""
    return tiles.permute(0, 3, 1, 2).float().div_(255)


def dihedral(images: Tensor, k: int) -> Tensor:
    """Apply one of the eight flips and turns, ``k`` in 0..7, to ``(..., H, W)``."""
    images = torch.rot90(images, k % 4, (-2, -1))
    return images.flip(-1) if k >= 4 else images


def stain_jitter(images: Tensor, generator: torch.Generator, sigma: float) -> Tensor:
    """Scale and shift the density of each stain, per image.

    Parameters
    ----------
    images : Tensor
        float32 ``(N, 3, H, W)`` in 0..1.
    generator : torch.Generator
        Source of randomness.
    sigma : float
        Standard deviation of the scale; the shift has a tenth of it.
    """
    n = len(images)
    stains = _STAINS / _STAINS.norm(dim=1, keepdim=True)
    density = -torch.log10(images.clamp_min(1 / 255))
    amount = torch.einsum("nchw,cs->nshw", density, torch.linalg.inv(stains))
    scale = 1 + sigma * torch.randn(n, 3, 1, 1, generator=generator)
    shift = 0.1 * sigma * torch.randn(n, 3, 1, 1, generator=generator)
    density = torch.einsum("nshw,sc->nchw", amount * scale + shift, stains)
    return torch.pow(10, -density).clamp_(0, 1)


def blur_some(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """Blur a share of the images a little, as an optic out of focus does."""
    chosen = torch.rand(len(images), generator=generator) < share
    if not chosen.any():
        return images
    kernel = torch.tensor([1.0, 2.0, 1.0])
    kernel = (kernel[:, None] * kernel[None, :] / 16).repeat(3, 1, 1, 1)
    padded = F.pad(images[chosen], (1, 1, 1, 1), mode="replicate")
    out = images.clone()
    out[chosen] = F.conv2d(padded, kernel, groups=3)
    return out
