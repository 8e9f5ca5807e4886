"""What judges a reconstruction: a frozen network's features, and a patch critic."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from torch import Tensor, nn


class Features(nn.Module):
    """The first feature maps of EfficientNet-Lite0 (ImageNet, Apache-2.0), frozen.

    In place of LPIPS, whose weights are not ours to pass on: our choice. Three maps, at
    a half, a quarter and an eighth of the resolution.

    Parameters
    ----------
    network : Module
        timm's ``tf_efficientnet_lite0`` with its weights.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.stem = nn.Sequential(network.conv_stem, network.bn1)
        self.stages = nn.ModuleList(network.blocks[:3])
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> list[Tensor]:
        """Give the maps of images in -1..1, which is what the network was fed."""
        x = self.stem(images)
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class PatchCritic(nn.Module):
    """A discriminator that answers for overlapping patches (Isola et al. 2017).

    Group norms rather than batch norms, so that real and made images are judged apart.

    Parameters
    ----------
    width : int
        Channels of the first layer.
    halvings : int
        Layers with stride 2; three see 70 px.
    """

    def __init__(self, width: int = 64, halvings: int = 3) -> None:
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(halvings + 1)]
        layers: list[nn.Module] = [
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
        ]
        for i, (into, out) in enumerate(pairwise(widths)):
            stride = 2 if i + 1 < halvings else 1
            layers += [
                nn.Conv2d(into, out, 4, stride=stride, padding=1, bias=False),
                nn.GroupNorm(8, out),
                nn.LeakyReLU(0.2),
            ]
        layers.append(nn.Conv2d(widths[-1], 1, 4, padding=1))
        self.layers = nn.Sequential(*layers)
        for layer in self.layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, images: Tensor) -> Tensor:
        """Give one answer a patch, ``(N, 1, h, w)``; above zero is real."""
        answers: Tensor = self.layers(images)
        return answers
