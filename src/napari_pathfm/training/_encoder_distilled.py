"""An encoder by distillation from a frozen one, with DINO and iBOT (H0-mini's kind).

Or by its features, which less data and time suffice for (`_regression`).

Published of H0-mini are teacher, student and the two objectives (Filiot et al. 2025).
A teacher's prototype heads are not published with its weights. Our choice: prototypes
are the centres of a spherical k-means of the teacher's own centred tokens on training
tiles, so its scores are cosines to kinds of tissue; the teacher sees each large crop as
it is and the student the same crop restained and rescanned, so every patch has its
counterpart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from napari_pathfm.training._data import open_tiles
from napari_pathfm.training._encoder_base import EncoderRecipe
from napari_pathfm.training._prototypes import Targets, dino, entropy, ibot, sinkhorn
from napari_pathfm.training._ranks import Ranks
from napari_pathfm.training._recipe import Group, Phase, grouped
from napari_pathfm.training._regression import Axes, Places, differences, feature_losses
from napari_pathfm.training._steady import margin, steady_layer
from napari_pathfm.training._teachers import open_teacher
from napari_pathfm.training._turn import JUDGING, Turn
from napari_pathfm.training._views import crop, scanned

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._encoder_config import DistilConfig, Shown
    from napari_pathfm.training._teachers import Teacher

_PATCHES = 16  # patch tokens of a tile that it is told
_AT_ONCE = 32  # tiles that the teacher is shown for it
_CROPS = 3  # of each tile that is judged by, for a steady layer


def build(config: DistilConfig, root: Path) -> Distilled:
    """Build the recipe; the teacher is loaded."""
    from napari_pathfm.encoders import choose_device

    tiles = open_tiles(config.data, root, config.machine.workers)
    device = choose_device(config.machine.device)
    told = config.teacher
    teacher = open_teacher(
        told.encoder, told.weights, device, lower=told.precision == "bf16"
    )
    return Distilled(config, tiles, teacher)


class Distilled(EncoderRecipe):
    """A ViT that learns a frozen encoder's answers.

    Parameters
    ----------
    config : DistilConfig
        The run's.
    tiles : Tiles
        Its data.
    teacher : Teacher
        Who is asked.
    """

    def __init__(self, config: DistilConfig, tiles: Tiles, teacher: Teacher) -> None:
        super().__init__(config, tiles)
        self._config, self._teacher = config, teacher
        cls_dim, patch_dim = teacher.dims
        networks: dict[str, nn.Module] = {"student": self._student()}
        learnt: dict[str, nn.Module] = {}
        if config.heads is not None:
            heads = config.heads
            learnt |= self._heads(heads)
            networks["cls_targets"] = Targets(cls_dim, heads.cls_prototypes)
            networks["patch_targets"] = Targets(patch_dim, heads.patch_prototypes)
        if config.losses.by_features:
            asked, dim = config.teacher, config.model.dim
            learnt["cls_words"] = nn.Linear(dim, asked.cls_axes)
            learnt["patch_words"] = nn.Linear(dim, asked.patch_axes)
            networks["cls_axes"] = Axes(cls_dim, asked.cls_axes)
            networks["patch_axes"] = Axes(patch_dim, asked.patch_axes)
        self.averages = ("student", *learnt)
        self.module = nn.ModuleDict({**networks, **learnt})
        self._fit()

    def _fit(self) -> None:
        """Find prototypes, axes and what a place adds; they are part of the state."""
        config, module = self._config, self.module
        parts = max(config.teacher.fitted // _AT_ONCE, 1)
        turn = Turn(config.run.seed, JUDGING, config.teacher.fitted, parts=parts)
        rng = np.random.default_rng(config.run.seed)
        renderings, means, tokens = [], [], []
        ridge = config.teacher.ridge if config.losses.by_features else 0.0
        for _ in range(parts):
            crops = self._tiles.learn.draw_with(
                turn, lambda tile, rng: self._renderings(tile, rng, ridge > 0)
            )
            shown = np.stack(crops, 1)  # (views, n, px, px, 3), the first unchanged
            pooled, maps = self._teacher.look(shown[0])
            others = [self._teacher.look(view)[0] for view in shown[1:]]
            renderings.append(torch.stack([pooled, *others], 1).float())
            flat = maps.float().flatten(1, 2)
            if config.losses.within:
                flat = differences(flat)
            some = rng.choice(flat.shape[1], min(_PATCHES, flat.shape[1]), False)
            means.append(maps.float().mean(0))
            tokens.append((flat[:, some.tolist()], some.tolist()))
            turn = turn.following()
        module["places"] = Places(torch.stack(means).mean(0))
        of_places = module["places"].mean.flatten(0, 1)
        patches = torch.cat([(t - of_places[at]).flatten(0, 1) for t, at in tokens])
        seen = torch.cat(renderings)
        if config.heads is not None:
            module["cls_targets"].fit(seen[:, 0], rng, "heads.cls_prototypes")
            module["patch_targets"].fit(patches, rng, "heads.patch_prototypes")
        if config.losses.by_features:
            if ridge:
                module["cls_axes"].fit_steady(seen, ridge, "teacher.cls_axes")
            else:
                module["cls_axes"].fit(seen[:, 0], "teacher.cls_axes")
            module["patch_axes"].fit(patches, "teacher.patch_axes")

    def _renderings(
        self, tile: NDArray[np.uint8], rng: np.random.Generator, several: bool
    ) -> NDArray[np.uint8]:
        """Give a crop ``(1, px, px, 3)``, or with it two of its scanners' views."""
        told = self._config.views
        clean = crop(tile, rng, told.global_px, told.global_scale)
        others = [scanned(clean, rng, told) for _ in range(2 if several else 0)]
        return np.stack([clean, *others])

    def phases(self) -> tuple[Phase, ...]:
        """One; the heads' prototypes may wait."""
        module, heads = self.module, self._config.heads
        learnt, last = [module["student"]], []
        if heads is not None:
            both = module["cls_head"], module["patch_head"]
            learnt += [head.mlp for head in both]
            last = [Group([h.prototypes for h in both], frozen=heads.frozen)]
        if self._config.losses.by_features:
            learnt += [module["cls_words"], module["patch_words"]]
        return (Phase("all", self._config.optimiser, [*grouped(*learnt), *last]),)

    def after_step(self, step: int) -> None:
        """Nothing follows: the teacher stays as it is."""

    def _compare(
        self, module: Any, shown: Shown, step: int, ranks: Ranks
    ) -> dict[str, Tensor]:
        told, student = self._config.losses, module["student"]
        hidden, kept = self._hidden(shown), self._kept(module.training, shown)
        cls, patches = student(self._images(shown.large), hidden, kept)
        with torch.no_grad():
            pooled, maps = self._looked(shown)
            tokens = _on_grid(module["places"](maps), self._shower.side)
        if kept is not None:
            hidden, tokens = hidden[:, kept], tokens[:, kept]
        losses: dict[str, Tensor] = {}
        if told.by_prototypes:
            losses |= self._by_prototypes(
                module, shown, (cls, patches), (pooled, tokens), hidden, step, ranks
            )
        if told.by_features:
            losses |= feature_losses(module, cls, patches, pooled, tokens, told)
        return losses

    def _kept(self, training: bool, shown: Shown) -> Tensor | None:
        """Draw which patches this step's student is given; None for all."""
        low, high = self._config.views.kept
        if not training or low == high == 1:
            return None
        count = shown.hidden.shape[1]
        share = low + (high - low) * float(torch.rand(()))
        return torch.randperm(count)[: max(round(count * share), 1)].sort().values

    def _looked(self, shown: Shown) -> tuple[Tensor, Tensor]:
        """Ask the teacher, once for two views of the same."""
        if not self._config.views.same:
            return self._teacher.look(shown.clean)
        seen = self._teacher.look(shown.clean[: len(shown.clean) // 2])
        return torch.cat([seen[0], seen[0]]), torch.cat([seen[1], seen[1]])

    def _by_prototypes(
        self,
        module: Any,
        shown: Shown,
        said: tuple[Tensor, Tensor],
        seen: tuple[Tensor, Tensor],
        hidden: Tensor,
        step: int,
        ranks: Ranks,
    ) -> dict[str, Tensor]:
        """DINO and iBOT, of what student and teacher make of tiles and of patches."""
        told, temperature = self._config.losses, self._config.losses.temperature(step)
        (cls, patches), (pooled, tokens) = said, seen
        with torch.no_grad():
            wanted = sinkhorn(module["cls_targets"](pooled), temperature, ranks)
            scores = module["patch_targets"](tokens).flatten(0, 1)
            wanted_patches = sinkhorn(scores, temperature, ranks)
            wanted_patches = wanted_patches.view(*tokens.shape[:2], -1)
        views = list(module["cls_head"](cls).chunk(2))
        if count := self._config.views.locals:
            small, _ = module["student"](self._images(shown.small))
            views += module["cls_head"](small).chunk(count)
        scored = module["patch_head"](patches)
        sharp = told.student_temperature
        both = list(wanted.chunk(2))
        losses = {"dino": told.dino * dino(views, both, sharp, same=True)}
        for name, weight, chosen in (
            ("ibot_hidden", told.ibot_hidden, hidden),
            ("ibot_seen", told.ibot_seen, ~hidden),
        ):
            if weight:
                found = ibot(scored[chosen], wanted_patches[chosen], chosen, sharp)
                losses[name] = weight * found
        return losses

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """As of every encoder; and DINO's floor, the entropy of what is wanted."""
        figures = super().figures(averaged, side)
        if not figures or not self._config.losses.by_prototypes:
            return figures
        pooled, _ = self._teacher.look(self._judged[side].clean)
        temperature = self._config.losses.temperature(self._config.run.steps)
        scores = averaged["cls_targets"](pooled)
        wanted = sinkhorn(scores, temperature, Ranks(self._ranks.device))
        return figures | {"floor": self._config.losses.dino * float(entropy(wanted))}

    def _layers(self, averaged: Any) -> dict[str, nn.Linear] | None:
        """Give what has learnt to say a tile's features, and a patch's."""
        if not self._config.model.projected:
            return None
        patch = averaged["patch_words"]
        if self._config.model.steady_axes:
            patch = self._steady(averaged["student"], patch)
        return {"tile": averaged["cls_words"], "patch": patch}

    @torch.no_grad()
    def _steady(self, student: Any, layer: nn.Linear) -> nn.Linear:
        model, views = self._config.model, self._config.views
        moved = margin(self._shower.side)
        px = views.global_px + moved * model.patch_px
        tiles = self._tiles.judged("train")
        assert tiles is not None  # there is always something to learn from
        rng = np.random.default_rng(self._config.run.seed)
        pictures = [
            crop(tile, rng, px, views.global_scale)
            for tile in tiles
            for _ in range(_CROPS)
        ]
        return steady_layer(
            lambda crops: student(self._images(crops))[1],
            layer,
            np.stack(pictures),
            model.steady_axes,
            model.patch_px,
            moved,
        )

    def fingerprints(self) -> Mapping[str, Any]:
        """Data and teacher."""
        return {"data": self._tiles.facts, "teacher": self._teacher.identity}


def _on_grid(maps: Tensor, side: int) -> Tensor:
    """Bring a teacher's map ``(n, h, w, P)`` to the student's patches ``(n, t, P)``."""
    if maps.shape[1:3] != (side, side):
        upright = maps.permute(0, 3, 1, 2)
        scaled = F.interpolate(upright, (side, side), mode="bilinear")
        maps = scaled.permute(0, 2, 3, 1)
    return maps.flatten(1, 2)
