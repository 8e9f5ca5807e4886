"""The bundled denoiser: rectified flow on latents, conditioned on the encoder's CLS.

Path and target as REPA-E has them: ``x_t = (1 - t) x + t e``, velocity ``e - x``,
time 1 is noise. A projection of the half-resolution features is aligned with the
conditioning encoder's patch tokens, and a tenth of the conditions is dropped for
guidance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_pathfm.generators._autoencoder import Autoencoder, to_signed
from napari_pathfm.generators._unet import UNet
from napari_pathfm.training._bundled import OnOneProcess, draws

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.training._distillation import Student
    from napari_pathfm.training._fields import Crops
    from napari_pathfm.training._tables import Optimiser
    from napari_pathfm.training._turn import Turn

_DROP = 0.1
_ALIGN = 0.3


class Denoiser(nn.Module):
    """The U-Net and the projector that only training needs."""

    def __init__(self, condition_dim: int) -> None:
        super().__init__()
        self.unet = UNet(condition_dim=condition_dim)
        width = self.unet.halve2.in_channels
        self.projector = nn.Sequential(
            nn.Conv2d(width, 256, 1), nn.SiLU(), nn.Conv2d(256, condition_dim, 1)
        )


class FlowMatching(OnOneProcess):
    """Losses of the denoiser on latents and features computed once.

    Parameters
    ----------
    crops, held_out : Crops
        224 px crops to learn from and to be judged on.
    student : Student
        The trained conditioning encoder.
    autoencoder : Autoencoder
        The trained autoencoder.
    optimiser, facts : Optimiser, mapping
        See `OnOneProcess`.
    n, batch : int
        Distinct crops to learn from; crops a step.
    """

    def __init__(
        self,
        crops: Crops,
        held_out: Crops,
        student: Student,
        autoencoder: Autoencoder,
        optimiser: Optimiser,
        facts: Mapping[str, Any],
        *,
        n: int,
        batch: int,
        seed: int = 0,
    ) -> None:
        super().__init__(optimiser, facts)
        rng = np.random.default_rng((seed, 7))
        self._learn = _prepare(_turned(crops.draw(rng, n), rng), student, autoencoder)
        self._judge = _prepare(held_out.draw(rng, 128), student, autoencoder)
        self._batch = batch
        torch.manual_seed(seed)
        self.module = Denoiser(student.vit.embed_dim)
        cls = self._learn["cls"]
        self.module.unet.condition_mean.copy_(cls.mean(0))
        self.module.unet.condition_std.copy_(cls.std(0).clamp_min(1e-4))
        self.module.to(memory_format=torch.channels_last)

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Flow and alignment losses of one batch."""
        numpy_rng, torch_rng = draws(turn)
        n = len(self._learn["cls"])
        index = torch.from_numpy(numpy_rng.choice(n, self._batch, replace=False))
        return self._compare(self.module, self._learn, index, torch_rng)

    def _compare(
        self,
        module: Denoiser,
        data: dict[str, Tensor],
        index: Tensor,
        torch_rng: torch.Generator,
    ) -> dict[str, Tensor]:
        x = data["latents"][index].float()
        # Logit-normal times spend effort where the flow is hard (Esser et al. 2024).
        t = torch.sigmoid(torch.randn(len(x), generator=torch_rng))
        noise = torch.randn(x.shape, generator=torch_rng)
        drop = torch.rand(len(x), generator=torch_rng) < _DROP
        mixed = x + t[:, None, None, None] * (noise - x)
        mixed = mixed.to(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            said, inner = module.unet.features(mixed, t, data["cls"][index], drop)
            seen = module.projector(inner)
        patches = F.interpolate(
            data["patches"][index].float(), seen.shape[-2:], mode="area"
        )
        return {
            "flow": F.mse_loss(said.float(), noise - x),
            "align": _ALIGN * (1 - F.cosine_similarity(seen.float(), patches).mean()),
        }

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """Losses with fixed noise and times."""
        data = self._learn if side == "train" else self._judge
        index = torch.arange(min(len(self._judge["cls"]), len(data["cls"])))
        fixed = torch.Generator().manual_seed(0)
        seen = self._compare(averaged, data, index, fixed)
        return {name: float(value) for name, value in seen.items()}


def _turned(
    tiles: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Flip and turn each crop at random: tissue has no up."""
    for i, k in enumerate(rng.integers(8, size=len(tiles))):
        tile = np.rot90(tiles[i], k % 4)
        tiles[i] = tile[:, ::-1] if k >= 4 else tile
    return tiles


def _prepare(
    tiles: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    student: Student,
    autoencoder: Autoencoder,
) -> dict[str, Tensor]:
    """Latents, CLS and patch tokens of uint8 ``(N, 224, 224, 3)``."""
    from napari_pathfm.encoders._bundled import BUNDLED

    latents, cls, patches = [], [], []
    student.eval()
    autoencoder.eval()
    with torch.inference_mode():
        for part in torch.from_numpy(tiles).split(64):
            signed = to_signed(part)
            latents.append(autoencoder.encode(signed).half())
            tokens = student.vit(((signed + 1) / 2 - student.mean) / student.std)
            cls.append(tokens[:, 0])
            side = round((tokens.shape[1] - BUNDLED.prefix_tokens) ** 0.5)
            rows = tokens[:, BUNDLED.prefix_tokens :].transpose(1, 2)
            patches.append(rows.unflatten(2, (side, side)).half())
    # Clones, because tensors made in inference mode may not enter a graph.
    return {
        "latents": torch.cat(latents).clone(),
        "cls": torch.cat(cls).clone(),
        "patches": torch.cat(patches).clone(),
    }
