"""The bundled generator's autoencoder: eight times smaller on each side.

Plain residual convolutions. The outermost halving is a pixel (un)shuffle, so that no
convolution runs at full resolution. Latents leave through a batch norm without affine
part, so that they have zero mean and unit variance for the flow, as REPA-E has it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LATENT_CHANNELS = 8
DOWNSAMPLE = 8


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(8, width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.silu(self.first(F.silu(self.norm(x))))
        out: Tensor = x + self.second(inner)
        return out


class Autoencoder(nn.Module):
    """Images in -1..1 to latents of unit variance and back.

    Parameters
    ----------
    widths : (int, int, int)
        Channels at a half, a quarter and an eighth of the image's resolution.
    """

    def __init__(self, widths: tuple[int, int, int] = (48, 96, 160)) -> None:
        super().__init__()
        a, b, c = widths
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, a, 3, padding=1),
            _Residual(a),
            nn.Conv2d(a, b, 2, stride=2),
            _Residual(b),
            nn.Conv2d(b, c, 2, stride=2),
            _Residual(c),
            nn.Conv2d(c, LATENT_CHANNELS, 1),
        )
        self.latent_norm = nn.BatchNorm2d(LATENT_CHANNELS, affine=False, momentum=0.02)
        self.decoder = nn.Sequential(
            nn.Conv2d(LATENT_CHANNELS, c, 3, padding=1),
            _Residual(c),
            _Residual(c),
            nn.Conv2d(c, 4 * b, 1),
            nn.PixelShuffle(2),
            _Residual(b),
            _Residual(b),
            nn.Conv2d(b, 4 * a, 1),
            nn.PixelShuffle(2),
            _Residual(a),
            _Residual(a),
            nn.Conv2d(a, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def encode(self, images: Tensor) -> Tensor:
        """Take ``(N, 3, H, W)`` in -1..1 to latents ``(N, 8, H / 8, W / 8)``."""
        latents: Tensor = self.latent_norm(self.encoder(images))
        return latents

    def decode(self, latents: Tensor) -> Tensor:
        """Take latents back to images in about -1..1."""
        images: Tensor = self.decoder(latents)
        return images


def to_signed(tiles: Tensor) -> Tensor:
    """Turn uint8 ``(N, H, W, 3)`` into float ``(N, 3, H, W)`` in -1..1."""
    return tiles.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_uint8(images: Tensor) -> Tensor:
    """Turn ``(N, 3, H, W)`` in -1..1 into uint8 ``(N, H, W, 3)``, rounded."""
    scaled = images.float().add(1).mul(127.5).clamp(0, 255).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()
