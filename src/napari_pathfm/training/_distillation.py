"""The bundled encoder: a small ViT that learns what a frozen teacher sees.

The teacher looks at a crop once, as it is; the student looks at it turned, restained
and blurred, and must answer the same. CLS is asked for the teacher's pooled feature and
for the geometry of the batch (which tiles are alike), the patch tokens for the
teacher's feature maps. Feature regression was chosen over DINO's prototypes for this
first version because it learns from thousands of tiles rather than millions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_pathfm.encoders._bundled import BUNDLED
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.errors import PathfmError
from napari_pathfm.training._augment import blur_some, dihedral, stain_jitter, to_unit
from napari_pathfm.training._bundled import OnOneProcess, draws
from napari_pathfm.training._teachers import load_lite0

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_pathfm.training._fields import Crops
    from napari_pathfm.training._tables import Optimiser
    from napari_pathfm.training._turn import Turn

_POOLED_DIM = 256
_MAP_DIM = 64


class Student(nn.Module):
    """The encoder and the two linear heads that speak the teacher's language."""

    def __init__(self) -> None:
        super().__init__()
        self.vit = build_vit(BUNDLED)
        self.cls_head = nn.Linear(BUNDLED.dim, _POOLED_DIM)
        self.map_head = nn.Linear(BUNDLED.dim, 2 * _MAP_DIM)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(BUNDLED.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(BUNDLED.std).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give CLS ``(N, D)``, its translation, and the map's ``(N, C, h, w)``."""
        tokens = self.vit((images - self.mean) / self.std)
        cls, patches = tokens[:, 0], tokens[:, BUNDLED.prefix_tokens :]
        side = round(patches.shape[1] ** 0.5)
        maps = self.map_head(patches).transpose(1, 2).unflatten(2, (side, side))
        return cls, self.cls_head(cls), maps


class Distillation(OnOneProcess):
    """Teacher's answers, computed once, and the student's losses against them.

    Parameters
    ----------
    crops : Crops
        224 px crops to learn from.
    optimiser, facts : Optimiser, mapping
        See `OnOneProcess`.
    n : int
        How many distinct crops the teacher answers for.
    batch : int
        Crops a step.
    """

    def __init__(
        self,
        crops: Crops,
        optimiser: Optimiser,
        facts: Mapping[str, Any],
        *,
        n: int,
        batch: int,
        seed: int = 0,
    ) -> None:
        super().__init__(optimiser, facts)
        if n < _POOLED_DIM:
            raise PathfmError(f"distillation needs at least {_POOLED_DIM} crops")
        rng = np.random.default_rng(seed)
        self._tiles = torch.from_numpy(crops.draw(rng, n))
        pooled, fine, coarse = teacher_answers(self._tiles)
        self._pooled = _standardise(_project(pooled, _POOLED_DIM))
        self._fine = _standardise_maps(_project_maps(fine, _MAP_DIM))
        self._coarse = _standardise_maps(_project_maps(coarse, _MAP_DIM))
        self._batch = batch
        self._held_out = max(n // 20, 1)
        torch.manual_seed(seed)
        self.module = Student()

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Losses of one batch of augmented crops."""
        numpy_rng, torch_rng = draws(turn)
        learn = len(self._tiles) - self._held_out
        index = torch.from_numpy(numpy_rng.choice(learn, self._batch, replace=False))
        k = int(numpy_rng.integers(8))
        images = to_unit(self._tiles[index])
        images = stain_jitter(images, torch_rng, 0.12)
        images = dihedral(blur_some(images, torch_rng, 0.2), k)
        with torch.autocast("cpu", torch.bfloat16):
            answer = self.module(images)
        return self._compare(answer, index, k)

    def _compare(
        self, answer: tuple[Tensor, Tensor, Tensor], index: Tensor, turn: int
    ) -> dict[str, Tensor]:
        cls, said, maps = (a.float() for a in answer)
        wanted = self._pooled[index]
        fine = dihedral(self._fine[index].float(), turn)
        coarse = dihedral(self._coarse[index].float(), turn)
        said_fine, said_coarse = maps.split(_MAP_DIM, 1)
        said_fine = F.interpolate(said_fine, fine.shape[-2:], mode="area")
        said_coarse = F.interpolate(said_coarse, coarse.shape[-2:], mode="area")
        return {
            "pooled": _distance(said, wanted),
            "geometry": 4 * F.mse_loss(_gram(cls), _gram(wanted)),
            "fine": 0.5 * _distance(said_fine, fine),
            "coarse": 0.5 * _distance(said_coarse, coarse),
        }

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """Losses on crops that are not learnt from, and on as many that are."""
        first = 0 if side == "train" else len(self._tiles) - self._held_out
        index = torch.arange(first, first + self._held_out)
        seen = self._compare(averaged(to_unit(self._tiles[index])), index, 0)
        return {name: float(value) for name, value in seen.items()}


def _distance(a: Tensor, b: Tensor) -> Tensor:
    """One minus the cosine along the channels, averaged."""
    return 1 - F.cosine_similarity(a, b, dim=1).mean()


def _gram(features: Tensor) -> Tensor:
    unit = F.normalize(features, dim=1)
    return unit @ unit.T


def _standardise(x: Tensor) -> Tensor:
    return (x - x.mean(0)) / x.std(0).sqrt().clamp_min(1e-4)


def _standardise_maps(x: Tensor) -> Tensor:
    mean, std = x.mean((0, 2, 3), keepdim=True), x.std((0, 2, 3), keepdim=True)
    return ((x - mean) / std.sqrt().clamp_min(1e-4)).half()


def _project(x: Tensor, dim: int) -> Tensor:
    """Keep the leading principal components of ``(N, C)``."""
    centred = x - x.mean(0)
    _, _, basis = torch.linalg.svd(centred[:4096], full_matrices=False)
    projected: Tensor = centred @ basis[:dim].T
    return projected


def _project_maps(x: Tensor, dim: int) -> Tensor:
    rows = x[: 4096 // 16].float().permute(0, 2, 3, 1).flatten(0, 2)
    mean = rows.mean(0)
    _, _, basis = torch.linalg.svd(rows - mean, full_matrices=False)
    centred = x.float() - mean.view(1, -1, 1, 1)
    return torch.einsum("nchw,dc->ndhw", centred, basis[:dim])


def teacher_answers(tiles: Tensor, batch: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Ask the teacher about uint8 ``(N, 224, 224, 3)``.

    Returns
    -------
    pooled, fine, coarse : Tensor
        float32 ``(N, 1280)``, float16 ``(N, 112, 14, 14)`` and ``(N, 320, 7, 7)``.
    """
    teacher = load_lite0().to(memory_format=torch.channels_last)
    maps: dict[str, Tensor] = {}

    def keep(name: str) -> object:
        def hook(_module: nn.Module, _inputs: object, output: Tensor) -> None:
            maps[name] = output

        return hook

    teacher.blocks[4].register_forward_hook(keep("fine"))
    teacher.blocks[6].register_forward_hook(keep("coarse"))
    pooled, fine, coarse = [], [], []
    with torch.inference_mode():
        for part in tiles.split(batch):
            images = (to_unit(part) * 2 - 1).to(memory_format=torch.channels_last)
            pooled.append(teacher.forward_features(images).mean((2, 3)))
            fine.append(maps["fine"].half().contiguous())
            coarse.append(maps["coarse"].half().contiguous())
    return torch.cat(pooled), torch.cat(fine), torch.cat(coarse)
