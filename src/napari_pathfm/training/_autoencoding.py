"""The bundled autoencoder: pixels, their gradients, and a teacher's early features.

Reconstruction is judged by L1 on pixels, on their differences, and on the first feature
maps of a frozen ImageNet network (nuclei and fibres keep their edges; no adversary).
A little noise on the latents makes the decoder forgive the flow's small errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_pathfm.generators._autoencoder import Autoencoder, to_signed
from napari_pathfm.training._bundled import OnOneProcess, draws
from napari_pathfm.training._teachers import load_lite0

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.training._fields import Crops
    from napari_pathfm.training._tables import Optimiser
    from napari_pathfm.training._turn import Turn

_LATENT_NOISE = 0.08
_FEATURE_WEIGHT = 0.1


class Autoencoding(OnOneProcess):
    """Losses of the autoencoder on random crops.

    Parameters
    ----------
    crops, held_out : Crops
        What to learn from and what to be judged on.
    optimiser, facts : Optimiser, mapping
        See `OnOneProcess`.
    batch : int
        Crops a step.
    """

    def __init__(
        self,
        crops: Crops,
        held_out: Crops,
        optimiser: Optimiser,
        facts: Mapping[str, Any],
        *,
        batch: int,
        seed: int = 0,
    ) -> None:
        super().__init__(optimiser, facts)
        self._crops = crops
        self._judge = {
            side: torch.from_numpy(source.draw(np.random.default_rng(1), 64))
            for side, source in (("train", crops), ("held_out", held_out))
        }
        self._batch = batch
        teacher = load_lite0()
        self._eye = nn.Sequential(teacher.conv_stem, teacher.bn1, *teacher.blocks[:3])
        self._eye = self._eye.to(memory_format=torch.channels_last)
        torch.manual_seed(seed)
        self.module = Autoencoder()
        self.module.to(memory_format=torch.channels_last)

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Losses of one batch."""
        numpy_rng, torch_rng = draws(turn)
        tiles = torch.from_numpy(self._crops.draw(numpy_rng, self._batch))
        real = to_signed(tiles).to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.module.encode(real).float()
            noise = torch.randn(latents.shape, generator=torch_rng)
            again = self.module.decode(latents + _LATENT_NOISE * noise)
            seen = self._features(again)
            with torch.no_grad():
                wanted = self._features(real)
        again = again.float()
        return {
            "pixels": F.l1_loss(again, real),
            "edges": F.l1_loss(_differences(again), _differences(real)),
            "features": _FEATURE_WEIGHT * _relative(seen, wanted),
        }

    def _features(self, images: Tensor) -> list[Tensor]:
        """Maps after each of the network's first three stages."""
        out = []
        for layer in self._eye:
            images = layer(images)
            out.append(images)
        return out[2:]

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """PSNR in dB, averaged over crops."""
        real = to_signed(self._judge[side])
        again = averaged.decode(averaged.encode(real)).clamp(-1, 1)
        error = (again - real).square().mean((1, 2, 3))
        return {"psnr": float((10 * torch.log10(4 / error)).mean())}


def _relative(seen: list[Tensor], wanted: list[Tensor]) -> Tensor:
    """L1 distance of feature maps, each relative to the size of the wanted map."""
    parts = [
        F.l1_loss(a.float(), b.float()) / b.float().abs().mean()
        for a, b in zip(seen, wanted, strict=True)
    ]
    return torch.stack(parts).mean()


def _differences(images: Tensor) -> Tensor:
    right = images[..., :-1, 1:] - images[..., :-1, :-1]
    down = images[..., 1:, :-1] - images[..., :-1, :-1]
    return torch.cat([right, down], 1)
