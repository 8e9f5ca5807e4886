"""A slide-level head's attention and scores: the right figures in the right place."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import StoreError
from napari_pathfm.evaluation import Head, save_head
from napari_pathfm.evaluation._abmil import Abmil
from napari_pathfm.exports import read_heatmaps
from napari_pathfm.heatmaps import attention


@pytest.fixture(scope="module")
def store(slide, encoder, tmp_path_factory):
    return embed_slide(slide, encoder, tmp_path_factory.mktemp("s") / "s.zarr")


@pytest.fixture
def head(store):
    torch.manual_seed(0)
    networks = tuple(Abmil(store.features.shape[1], 2).eval() for _ in range(2))
    kind = ("encoder", "weights_revision", "pooling", "mpp", "tile_px")
    about = {"features": {key: store.attrs[key] for key in kind}, "slides": 4}
    return Head(networks, ("benign", "tumour"), about)


def middle(store, row):
    x, y = store.coords[row] + store.grid.tile_size / 2
    return float(x), float(y)


def test_attention_is_a_multiple_of_its_mean_in_its_place(store, head):
    maps = attention(store, head)
    assert [one.name for one in maps] == [
        "attention",
        "score of benign",
        "score of tumour",
    ]
    features = store.features.astype(np.float32)
    wanted = head.attention(features) * len(features)
    values = maps[0].values[~np.isnan(maps[0].values)]
    assert values.mean() == pytest.approx(1, abs=1e-4)
    for row in (0, 3, len(features) - 1):
        assert maps[0].at(*middle(store, row)) == pytest.approx(wanted[row], rel=1e-5)
        alone = head.predict(features[row : row + 1])
        assert maps[2].at(*middle(store, row)) == pytest.approx(alone[1], abs=1e-5)
    said = maps[0].provenance["prediction"]
    assert said["tumour"] == pytest.approx(head.predict(features)[1], abs=1e-4)
    assert maps[0].provenance["head"]["slides"] == 4


def test_stores_of_another_encoder_are_refused(store, head):
    other = Head(head.networks, head.classes, {"features": {"encoder": "other"}})
    with pytest.raises(StoreError, match="the head learned from other"):
        attention(store, other)


def test_from_the_shell(store, head, tmp_path, capsys):
    file, out = tmp_path / "head.safetensors", tmp_path / "attention.ome.tif"
    save_head(head, file)
    run = ["heatmap", str(store.path), "--head", str(file), "--out", str(out)]
    assert main([*run, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert sum(report["prediction"].values()) == pytest.approx(1, abs=1e-3)
    np.testing.assert_array_equal(
        read_heatmaps(out)[0].values, attention(store, head)[0].values
    )
    run[3] = str(tmp_path / "absent.safetensors")
    assert main(run) == 1
    assert "is no head, or it is damaged" in capsys.readouterr().err
