"""An encoder without a teacher but its own average: DINOv2 (Phikon-v2's kind).

DINO between views, iBOT on hidden patches, KoLeo, and Sinkhorn-Knopp in the place of
centring, with weights and schedules as DINOv2's code has them (Oquab et al. 2024).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_pathfm.training._data import open_tiles
from napari_pathfm.training._encoder_base import EncoderRecipe
from napari_pathfm.training._prototypes import dino, ibot, koleo, sinkhorn
from napari_pathfm.training._recipe import Group, Phase, grouped
from napari_pathfm.training._tables import cosine

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._encoder_config import DinoConfig, Shown
    from napari_pathfm.training._ranks import Ranks

_PARTS = ("student", "cls_head", "patch_head")


def build(config: DinoConfig, root: Path) -> SelfTaught:
    """Build the recipe."""
    return SelfTaught(config, open_tiles(config.data, root, config.machine.workers))


class SelfTaught(EncoderRecipe):
    """A student, and its average as the teacher; the teacher is what is written.

    Parameters
    ----------
    config : DinoConfig
        The run's.
    tiles : Tiles
        Its data.
    """

    averages = ()  # the teacher is the average

    def __init__(self, config: DinoConfig, tiles: Tiles) -> None:
        super().__init__(config, tiles)
        self._config = config
        networks = {"student": self._student(), **self._heads(config.heads)}
        networks["teacher"] = _Still(
            {name: copy.deepcopy(networks[name]) for name in _PARTS}
        )
        self.module = nn.ModuleDict(networks)

    def phases(self) -> tuple[Phase, ...]:
        """One; the patch embedding learns more slowly, the prototypes begin later."""
        config, module = self._config, self.module
        heads = module["cls_head"], module["patch_head"]
        embedding = {id(p) for p in module["student"].vit.patch_embed.parameters()}
        groups = []
        for part in grouped(module["student"], heads[0].mlp, heads[1].mlp):
            slow = [p for p in part.parameters if id(p) in embedding]
            rest = [p for p in part.parameters if id(p) not in embedding]
            groups += [
                Group(slow, rate=config.patch_rate, decay=part.decay),
                Group(rest, decay=part.decay),
            ]
        prototypes = [h.prototypes for h in heads]
        groups.append(Group(prototypes, frozen=config.heads.frozen))
        return (Phase("all", config.optimiser, groups),)

    def _compare(
        self, module: Any, shown: Shown, step: int, ranks: Ranks
    ) -> dict[str, Tensor]:
        told, temperature = self._config.losses, self._config.losses.temperature(step)
        hidden = self._hidden(shown)
        images = self._images(shown.large)
        with torch.no_grad():
            teacher = module["teacher"]
            seen, tokens = teacher["student"](images)
            wanted = sinkhorn(teacher["cls_head"](seen), temperature, ranks)
            # Only hidden patches have scores: over all of them they would fill a card.
            scores = teacher["patch_head"](tokens[hidden])
            wanted_patches = sinkhorn(scores, temperature, ranks)
        cls, patches = module["student"](images, hidden)
        said = list(module["cls_head"](cls).chunk(2))
        if count := self._config.views.locals:
            small, _ = module["student"](self._images(shown.small))
            said += module["cls_head"](small).chunk(count)
        sharp = told.student_temperature
        # The first view is told the second's answer and the other way round.
        both = list(wanted.chunk(2))
        losses = {"dino": told.dino * dino(said, both, sharp, same=False)}
        if told.ibot_hidden:
            scored = module["patch_head"](patches[hidden])
            found = ibot(scored, wanted_patches, hidden, sharp)
            losses["ibot"] = told.ibot_hidden * found
        if told.koleo:
            # Never between two views of a tile.
            apart = [koleo(view) for view in cls.chunk(2)]
            losses["koleo"] = told.koleo * torch.stack(apart).sum()
        return losses

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the teacher towards the student."""
        config = self._config
        done = step / max(config.run.steps, 1)
        momentum = cosine(config.momentum, config.final_momentum, done)
        for name in _PARTS:
            own = self.module[name].parameters()
            followers = self.module["teacher"][name].parameters()
            for follower, parameter in zip(followers, own, strict=True):
                follower.lerp_(parameter, 1 - momentum)

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write the teacher."""
        super().write(averaged["teacher"], folder, provenance)

    def fingerprints(self) -> Mapping[str, Any]:
        """The data."""
        return {"data": self._tiles.facts}


class _Still(nn.ModuleDict):
    """Networks that are never trained by gradients nor in training mode."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        super().__init__(modules)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> _Still:
        """Stay in eval mode: no branch is left out."""
        return super().train(False)
