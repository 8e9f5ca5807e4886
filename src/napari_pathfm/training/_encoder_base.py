"""What the two encoder recipes share: views drawn, scores of them, figures, files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from napari_pathfm.training._encoder_config import Shower, Shown
from napari_pathfm.training._prototypes import Head
from napari_pathfm.training._ranks import Ranks
from napari_pathfm.training._turn import judging
from napari_pathfm.training._vit import Student, write_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._encoder_config import (
        DinoConfig,
        DistilConfig,
        Heads,
    )
    from napari_pathfm.training._turn import Turn


class EncoderRecipe(ABC):
    """Student and heads on views of tiles.

    Parameters
    ----------
    config : DistilConfig or DinoConfig
        The run's.
    tiles : Tiles
        Its data.
    """

    module: Any

    def __init__(self, config: DistilConfig | DinoConfig, tiles: Tiles) -> None:
        self._tiles = tiles
        self._told = config
        self._shower = Shower(config.views, config.losses, config.model.patch_px)
        self._ranks = Ranks(torch.device("cpu"))
        self._judged: dict[str, Shown] = {}

    def _student(self) -> Student:
        told = self._told
        return Student(
            told.model,
            told.views.global_px,
            checkpointing=told.run.checkpointing,
        )

    def _heads(self, heads: Heads) -> dict[str, nn.Module]:
        told = self._told
        return {
            "cls_head": Head(
                told.model.dim, heads.hidden, heads.bottleneck, heads.cls_prototypes
            ),
            "patch_head": Head(
                told.model.dim, heads.hidden, heads.bottleneck, heads.patch_prototypes
            ),
        }

    def place(self, ranks: Ranks) -> None:
        """Keep the device."""
        self._ranks = ranks

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Losses of a turn's views."""
        shown = self._shower.draw(self._tiles.learn, turn)
        return self._compare(self.module, shown, turn.step, self._ranks)

    @abstractmethod
    def _compare(
        self, module: Any, shown: Shown, step: int, ranks: Ranks
    ) -> dict[str, Tensor]:
        """Give the losses of views, under the networks of `module`."""

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """Losses on fixed views of fixed tiles, and the spread of CLS.

        ``spread`` is one minus the mean cosine between tiles: near zero, all tiles look
        the same to the encoder.
        """
        shown = self._shown(side)
        if shown is None:
            return {}
        alone = Ranks(self._ranks.device)
        last = self._told.run.steps
        seen = self._compare(averaged, shown, last, alone)
        cls, _ = averaged["student"](self._images(shown.clean))
        unit = nn.functional.normalize(cls[: len(cls) // 2].float(), dim=1)
        n = len(unit)
        alike = float((unit @ unit.T).sum() - n) / max(n * (n - 1), 1)
        return {name: float(v) for name, v in seen.items()} | {"spread": 1 - alike}

    def _shown(self, side: str) -> Shown | None:
        """Give the fixed views of fixed tiles, the same each time."""
        if side not in self._judged:
            tiles = self._tiles.judged(side)
            if tiles is None:
                return None
            turn = judging(self._told.run.seed, len(tiles))
            draws = [turn.sample(i, 1) for i in range(len(tiles))]
            made = list(map(self._shower.make, tiles, draws))
            self._judged[side] = self._shower.arrange(made)
        return self._judged[side]

    def _images(self, views: NDArray[np.uint8]) -> Tensor:
        """Put views on the device, ``(n, 3, px, px)`` in 0..1."""
        there = torch.from_numpy(np.ascontiguousarray(views)).to(self._ranks.device)
        return there.permute(0, 3, 1, 2).float() / 255

    def _hidden(self, shown: Shown) -> Tensor:
        return torch.from_numpy(shown.hidden).to(self._ranks.device)

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write the encoder and its description."""
        told = self._told
        write_encoder(
            averaged["student"],
            told.model,
            folder,
            provenance,
            px=told.views.global_px,
            mpp=told.data.mpp,
            layers=self._layers(averaged),
        )

    def _layers(self, averaged: Any) -> dict[str, nn.Linear] | None:
        """Give the layers behind the final norm, if it has any; see `Model`."""
        return None
