"""The autoencoder's share of a step, which both recipes have: it and its critic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from napari_pathfm.generators._autoencoder import to_signed
from napari_pathfm.training._recipe import Group, Phase, grouped
from napari_pathfm.training._repae_critics import Features, PatchCritic
from napari_pathfm.training._repae_losses import critic_loss, psnr
from napari_pathfm.training._repae_step import reconstruction_losses

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._repae_codecs import AnyCodec
    from napari_pathfm.training._repae_config import Weights
    from napari_pathfm.training._tables import Optimiser
    from napari_pathfm.training._turn import Turn

_POSTERIOR = 24  # stream of `Turn.sample`
# Tiles that are judged at once.
_JUDGED = 16


class Reconstruction:
    """An autoencoder, what judges it, and its phases of a step.

    Parameters
    ----------
    codec : Codec
    weights : Weights
    learn : bool
        Whether the latents' statistics follow the autoencoder's own phase; where a
        denoiser learns too, they follow that one's.
    """

    def __init__(self, codec: AnyCodec, weights: Weights, *, learn: bool) -> None:
        self._weights, self._learn = weights, learn
        self.critic = PatchCritic() if weights.adversary else None
        self._eye = _features() if weights.features else None
        self.parts: dict[str, nn.Module] = {"autoencoder": codec}
        if self.critic is not None:
            self.parts["critic"] = self.critic

    def place(self, device: torch.device) -> None:
        """Put the feature network onto the device."""
        if self._eye is not None:
            self._eye.to(device)

    def phases(self, optimiser: Optimiser, critic: Optimiser | None) -> list[Phase]:
        """Give the phases of the autoencoder and, if there is one, of its critic."""
        own = grouped(self.parts["autoencoder"])
        phases = [Phase("autoencoder", optimiser, own)]
        if self.critic is not None:
            start = self._weights.adversary_start
            groups: Sequence[Group] = [
                Group(g.parameters, g.rate, g.decay, frozen=start)
                for g in grouped(self.critic)
            ]
            phases.append(Phase("critic", critic or optimiser, groups))
        return phases

    def losses(self, turn: Turn, codec: AnyCodec, images: Tensor) -> dict[str, Tensor]:
        """Give the autoencoder's own losses; keep what the other phases go on from."""
        active = turn.step >= self._weights.adversary_start
        shape = latent_shape(codec, images.shape[-1])
        noise = turn.normal(*shape, stream=_POSTERIOR).to(images.device)
        losses, z, again = reconstruction_losses(
            codec,
            images,
            noise,
            self._weights,
            eye=self._eye,
            critic=self.critic if active else None,
            learn=self._learn,
        )
        turn.kept.update(z=z.detach(), attached=z, again=again.detach(), images=images)
        return losses

    def critic_losses(self, turn: Turn) -> dict[str, Tensor]:
        """Give the critic's loss: nothing to learn until it takes part."""
        assert self.critic is not None
        if turn.step < self._weights.adversary_start:
            every = [p.sum() for p in self.critic.parameters()]
            return {"critic": 0 * torch.stack(every).sum()}
        real, made = turn.kept["images"], turn.kept["again"]
        return {"critic": critic_loss(self.critic(real), self.critic(made))}


def latent_shape(codec: AnyCodec, px: int) -> tuple[int, int, int]:
    """Shape of one image's latents, ``(C, h, w)``."""
    side = px // codec.downsample
    return codec.channels, side, side


def drawn_images(
    tiles: Tiles, turn: Turn, device: torch.device
) -> tuple[Tensor, NDArray[np.uint8]]:
    """Draw a turn's tiles, flipped and turned: tissue has no up.

    Returns
    -------
    images : Tensor
        float32 ``(N, 3, px, px)`` in -1..1.
    pixels : ndarray
        The same, uint8 ``(N, px, px, 3)``.
    """
    pixels = np.stack(tiles.learn.draw_with(turn, _turned))
    return to_images(pixels, device), pixels


def to_images(pixels: NDArray[np.uint8], device: torch.device) -> Tensor:
    """Turn uint8 ``(N, h, w, 3)`` into float32 ``(N, 3, h, w)`` in -1..1."""
    images = to_signed(torch.from_numpy(pixels).to(device))
    return images.contiguous(memory_format=torch.channels_last)


def _turned(tile: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    k = int(rng.integers(8))
    tile = np.rot90(tile, k % 4)
    return tile[:, ::-1] if k >= 4 else tile


def judged_psnr(
    codec: AnyCodec, pixels: NDArray[np.uint8], device: torch.device
) -> float:
    """Mean PSNR in dB over tiles, by the means of their latents."""
    found = []
    for part in portions(pixels):
        images = to_images(part, device)
        z, _ = codec.latents(images, None)
        again = codec.decode(z, None, learn=False).clamp(-1, 1)
        found.append(psnr(again, images))
    return float(torch.cat(found).mean())


def portions(pixels: Any, size: int = _JUDGED) -> Iterator[Any]:
    """Give rows in portions."""
    for start in range(0, len(pixels), size):
        yield pixels[start : start + size]


def _features() -> Features:
    from napari_pathfm.training._teachers import load_lite0

    return Features(load_lite0())
