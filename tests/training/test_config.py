"""Configs: every key is known, every value checked, and messages name them."""

from __future__ import annotations

import pytest

from napari_pathfm.errors import PathfmError
from napari_pathfm.training import listing, read_config, train
from napari_pathfm.training._config import shipped


def test_every_shipped_config_can_be_read():
    named = [name for _, configs in listing().values() for name in configs]
    assert sorted(named) == sorted(shipped())
    for recipe, (_, configs) in listing().items():
        assert configs, recipe
        for config in configs:
            read_config(recipe, config)


def test_the_published_shapes_have_the_published_counts():
    import torch

    from napari_pathfm.encoders import ENCODERS
    from napari_pathfm.encoders._vit import build_vit
    from napari_pathfm.training._vit import _spec

    for recipe, config, count in (
        ("encoder-distillation", "h0-mini", 85_739_520),
        ("encoder-dinov2", "phikon-v2", 303_350_784),
    ):
        model = read_config(recipe, config).model
        with torch.device("meta"):
            network = build_vit(_spec(model, 224, model.arguments()))
        assert sum(p.numel() for p in network.parameters()) == count
    published = ENCODERS["h0-mini"]
    model = read_config("encoder-distillation", "h0-mini").model
    assert model.arguments() == {**published.arguments}
    assert (model.mean, model.std) == (published.mean, published.std)


def test_settings_go_before_the_config():
    read = read_config(
        "encoder-dinov2",
        "dinov2-tiny",
        ["run.steps=7", "model.name=mine", "data.held_out=['a*', 'b']", "momentum=1"],
    )
    assert read.run.steps == 7
    assert read.model.name == "mine"
    assert read.data.held_out == ("a*", "b")
    assert read.momentum == 1.0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.step=7", r"run\.step is unknown: there are accumulate, batch, .*steps"),
        ("run.steps=seven", r"run\.steps must be a whole number, not 'seven'"),
        ("run.steps=0", r"run\.steps must be at least 1, not 0"),
        ("run.steps=true", r"run\.steps must be a whole number, not True"),
        ("run.precision=fp16", r"must be 'fp32' or 'bf16', not 'fp16'"),
        ("run.save_every=30", r"run\.save_every: 30 is no multiple of log_every"),
        ("views.local_px=50", r"views\.local_px: it is no multiple of 16"),
        ("data.zoom=[1.0]", r"data\.zoom must be a list of 2, each a number"),
        ("data.mpp=wide", r"data\.mpp must be a number"),
        ("model=3", r"model must be a table"),
        ("nothing", r"write table\.key=value"),
        ("run.steps.more=1", r"steps is no table"),
    ],
)
def test_what_cannot_be_is_one_line(setting, message):
    with pytest.raises(PathfmError, match=message) as caught:
        read_config("encoder-dinov2", "dinov2-tiny", [setting])
    assert "\n" not in str(caught.value)


def test_missing_and_damaged_files_are_one_line(tmp_path):
    with pytest.raises(PathfmError, match=r"no recipe 'encoders'.*encoder-dinov2"):
        read_config("encoders")
    with pytest.raises(PathfmError, match=r"no training config .*none\.toml.*h0-mini"):
        read_config("encoder-dinov2", tmp_path / "none.toml")
    bad = tmp_path / "bad.toml"
    bad.write_text("= nonsense")
    with pytest.raises(PathfmError, match=r"bad\.toml is no training config"):
        read_config("encoder-dinov2", bad)
    bad.write_text("")
    with pytest.raises(PathfmError, match=r"bad\.toml: run\.steps is missing"):
        read_config("encoder-dinov2", bad)
    with pytest.raises(PathfmError, match="a config for encoder-distillation"):
        read_config("encoder-dinov2", "h0-mini")
    with pytest.raises(PathfmError, match="--data"):
        train("encoder-dinov2", tmp_path / "run", data=tmp_path / "none")
    assert not (tmp_path / "run").exists()
