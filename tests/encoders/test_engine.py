"""What computes an encoder: the same tokens, or PyTorch after all."""

from __future__ import annotations

import json
import logging
import sys

import numpy as np
import pytest
import torch

from napari_pathfm.cli import main
from napari_pathfm.encoders import ENCODERS, load_encoder
from napari_pathfm.encoders import _engine as module
from napari_pathfm.encoders._precision import real_tiles
from napari_pathfm.errors import PathfmError

TILES = real_tiles(224)
FIELD = np.tile(TILES[:1], (1, 1, 2, 1))


@pytest.fixture(scope="module")
def exact():
    return load_encoder(device="cpu", precision="fp32")


def cosines(a, b):
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / norms


def test_openvino_sees_what_pytorch_sees(exact):
    encoder = load_encoder(device="cpu", precision="fp32", engine="openvino")
    assert encoder.engine == "openvino"
    assert encoder.revision == f"{exact.revision}+openvino"
    assert "on 4 real tiles" in encoder.precision.why
    # More tiles than a batch, and a last batch that is not full.
    tiles = np.concatenate([TILES, TILES[::-1], TILES[:3]])
    ours, theirs = encoder.encode(tiles), exact.encode(tiles)
    np.testing.assert_allclose(ours.cls, theirs.cls, atol=2e-3)
    np.testing.assert_allclose(ours.patches, theirs.patches, atol=2e-2)
    # Another size goes through PyTorch, bit for bit.
    assert np.array_equal(encoder.encode(FIELD).cls, exact.encode(FIELD).cls)


def test_openvino_is_refused_with_one_line(monkeypatch):
    with pytest.raises(PathfmError, match="not in fp16"):
        load_encoder(device="cpu", precision="fp16", engine="openvino")
    spec = ENCODERS["bundled"]
    with pytest.raises(PathfmError, match="runs on a CPU, not on meta"):
        module.by_openvino(spec, None, torch.device("meta"), "auto")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "openvino", None)
        with pytest.raises(PathfmError, match=r"napari-pathfm\[openvino\]"):
            load_encoder(device="cpu", engine="openvino")
    monkeypatch.setattr(module, "FAITHFUL", 1.1)
    with pytest.raises(PathfmError, match="cannot run in OpenVINO's fp32"):
        load_encoder(device="cpu", engine="openvino")
    with pytest.raises(PathfmError, match="no engine 'tvm'"):
        load_encoder(engine="tvm")


def compiler(work):
    """Stand in for PyTorch's: half a minute a network, and not on every computer."""

    def compile_(network, *, mode, dynamic):
        assert (mode, dynamic) == ("default", False)
        return work(network)

    return compile_


def test_a_compiled_network_sees_batches_of_one_size(exact, monkeypatch):
    sizes = []

    def counted(network):
        def run(images):
            sizes.append(len(images))
            return network(images)

        return run

    monkeypatch.setattr(torch, "compile", compiler(counted))
    encoder = load_encoder(device="cpu", precision="fp32", engine="compile")
    assert encoder.engine == "compile"
    assert encoder.revision == exact.revision
    ours = encoder.encode(np.concatenate([TILES, TILES, TILES[:3]]))
    assert set(sizes) == {8}
    np.testing.assert_allclose(ours.cls[8:], exact.encode(TILES[:3]).cls, atol=1e-4)
    sizes.clear()
    assert np.array_equal(encoder.encode(FIELD).cls, exact.encode(FIELD).cls)
    assert not sizes


def broken(_network):
    def run(_images):
        raise RuntimeError("no C++ compiler\nand many lines more")

    return run


def wrong(network):
    return lambda images: network(images).flip(1)


@pytest.mark.parametrize(
    ("work", "says"), [(broken, "no C++ compiler"), (wrong, "cos")]
)
def test_what_does_not_compile_runs_as_it_is(exact, monkeypatch, caplog, work, says):
    monkeypatch.setattr(torch, "compile", compiler(work))
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(device="cpu", precision="fp32", engine="compile")
    assert encoder.engine == "torch"
    assert np.array_equal(encoder.encode(TILES).cls, exact.encode(TILES).cls)
    (line,) = [r.getMessage() for r in caplog.records if "uncompiled" in r.getMessage()]
    assert says in line
    assert "\n" not in line


def test_patch_tokens_stay_where_nobody_wants_them(exact):
    both = load_encoder(device="cpu", precision="fp32", pooling="cls+mean")
    whole, slim = both.encode(TILES), both.encode(TILES, patches=False)
    assert slim.patches.shape == (0, 16, 16, exact.spec.dim)
    assert np.array_equal(whole.pooled, slim.pooled)
    assert np.array_equal(whole.cls, slim.cls)
    mean = whole.patches.mean((1, 2))
    np.testing.assert_allclose(whole.pooled[:, exact.spec.dim :], mean, atol=1e-5)


def test_from_the_shell(slide, tmp_path, capsys):
    told = ["embed", str(slide.path), "--encoder", "bundled", "--json"]
    ask = [*told, "--device", "cpu", "--out", str(tmp_path)]
    assert main([*ask, "--engine", "openvino"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["engine"] == "openvino"
    # A store is not gone on with by another engine.
    assert main(ask) == 1
    assert "was made with another weights" in capsys.readouterr().err
