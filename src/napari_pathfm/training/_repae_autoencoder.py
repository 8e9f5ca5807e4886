"""The autoencoder's recipe: reconstruction alone, before there is a denoiser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_pathfm.training._checkpoint import write_tensors
from napari_pathfm.training._repae_codecs import build_codec
from napari_pathfm.training._repae_reconstruct import (
    Reconstruction,
    drawn_images,
    judged_psnr,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._recipe import Phase
    from napari_pathfm.training._repae_config import AutoencoderConfig
    from napari_pathfm.training._turn import Turn


class AutoencoderRecipe:
    """See `Recipe`.

    Parameters
    ----------
    config : AutoencoderConfig
    tiles : Tiles
    """

    averages = ("autoencoder",)

    def __init__(self, config: AutoencoderConfig, tiles: Tiles) -> None:
        self._config, self._tiles = config, tiles
        codec = build_codec(config.autoencoder)
        self._work = Reconstruction(codec, config.losses, learn=True)
        self.module = nn.ModuleDict(self._work.parts)
        self._device = torch.device("cpu")

    def phases(self) -> list[Phase]:
        """Give the autoencoder's, and its critic's."""
        return self._work.phases(self._config.optimiser, self._config.critic_optimiser)

    def place(self, ranks: Ranks) -> None:
        """Put the feature network where the rest is."""
        self._device = ranks.device
        self._work.place(ranks.device)

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Give the losses of a phase."""
        if phase == "critic":
            return self._work.critic_losses(turn)
        images, _ = drawn_images(self._tiles, turn, self._device)
        codec: Any = self.module["autoencoder"]
        return self._work.losses(turn, codec, images)

    def after_step(self, step: int) -> None:
        """Nothing follows."""

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """PSNR in dB on fixed tiles."""
        pixels = self._tiles.judged(side)
        if pixels is None:
            return {}
        return {"psnr": judged_psnr(averaged["autoencoder"], pixels, self._device)}

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write ``autoencoder.safetensors``, for the generator's recipe."""
        codec: Any = averaged["autoencoder"]
        path = folder / "autoencoder.safetensors"
        write_tensors(path, codec.published(), provenance)

    def fingerprints(self) -> dict[str, Any]:
        """Say what the run learns from."""
        return {"data": self._tiles.facts}
