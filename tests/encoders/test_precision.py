"""Half precision where the device has it, and only where it is faithful."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from napari_pathfm.cli import main
from napari_pathfm.encoders import ENCODERS, load_encoder
from napari_pathfm.encoders import _precision as module
from napari_pathfm.encoders._precision import (
    FAITHFUL,
    advised_precision,
    agreement,
    real_tiles,
)
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.errors import PathfmError

SPEC = ENCODERS["bundled"]


def device_with(monkeypatch, name: str = "bf16") -> None:
    """Let this processor pass for one that multiplies such numbers."""
    monkeypatch.setattr(module, "advised_precision", lambda device: (name, "a test"))


@pytest.fixture
def fragile(tmp_path):
    """Weights whose patch embedding is so large that fp16 overflows."""
    torch.manual_seed(0)
    tensors = dict(build_vit(SPEC).state_dict())
    tensors["patch_embed.proj.weight"] = tensors["patch_embed.proj.weight"] + 1e3
    save_file(tensors, tmp_path / "model.safetensors")
    return tmp_path


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_a_faithful_precision_is_used_and_said(monkeypatch, name):
    device_with(monkeypatch, name)
    exact = load_encoder(device="cpu", precision="fp32")
    faster = load_encoder(device="cpu")
    assert faster.precision.name == name
    assert faster.precision.refused == ""
    assert "on 4 real tiles" in faster.precision.why
    assert faster.revision == f"{exact.revision}+{name}"
    weights = next(faster._network.parameters()).dtype
    assert weights == {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
    seen = real_tiles(224)[:, :112, :112]
    a, b = (e.encode(seen).cls.astype(float) for e in (exact, faster))
    assert not np.array_equal(a, b)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    assert ((a * b).sum(1) / norms).min() > FAITHFUL


def test_one_that_is_not_faithful_is_refused_and_fp32_kept(
    monkeypatch, fragile, caplog
):
    device_with(monkeypatch, "fp16")
    with caplog.at_level(logging.WARNING):
        encoder = load_encoder(weights=fragile, device="cpu")
    assert encoder.precision.name == "fp32"
    assert encoder.precision.refused == "fp16"
    assert "fp16 was refused: cosine 0.00000" in encoder.precision.why
    assert next(encoder._network.parameters()).dtype == torch.float32
    assert not encoder.revision.endswith("fp16")
    (record,) = caplog.records
    assert "runs in fp32: fp16 was refused" in record.getMessage()
    # fp32 is untouched by the trial.
    own = load_encoder(weights=fragile, device="cpu", precision="fp32")
    seen = real_tiles(56)
    np.testing.assert_array_equal(encoder.encode(seen).cls, own.encode(seen).cls)


def test_one_that_was_asked_for_by_name_is_refused_in_one_line(fragile):
    with pytest.raises(PathfmError, match=r"cannot run in fp16 .* fp32 or auto"):
        load_encoder(weights=fragile, device="cpu", precision="fp16")
    with pytest.raises(PathfmError, match="no precision 'int8'"):
        load_encoder(precision="int8")


def test_arithmetic_that_a_device_lacks_is_refused_too(monkeypatch):
    device_with(monkeypatch)

    def never(self, tiles):
        if self.dtype == torch.bfloat16:
            raise RuntimeError('"some_kernel" not implemented for BFloat16\nand more')
        return np.ones((1, 261, 192), np.float32)

    monkeypatch.setattr("napari_pathfm.encoders._forward.Forward.__call__", never)
    precision = load_encoder(device="cpu").precision
    assert (precision.name, precision.refused) == ("fp32", "bf16")
    assert precision.why.endswith("not implemented for BFloat16")


def test_the_least_faithful_tile_decides():
    exact = np.random.default_rng(0).normal(size=(3, 261, 192)).astype(np.float32)
    assert agreement(exact, exact * 2, SPEC) == pytest.approx(1)
    one = exact.copy()
    one[2, 0] *= -1
    assert agreement(exact, one, SPEC) == pytest.approx(-1)
    registers = exact.copy()
    registers[:, 1:5] = 7  # nobody reads them
    assert agreement(exact, registers, SPEC) == pytest.approx(1)
    patches = exact.copy()
    patches[1, 5:] = -patches[1, 5:]
    assert agreement(exact, patches, SPEC) == pytest.approx(-1)
    one[0, 0, 0] = np.nan
    assert agreement(exact, one, SPEC) == 0


@pytest.mark.parametrize(
    ("kind", "has", "wanted"),
    [
        ("cuda", (9, 0), "bf16"),
        ("cuda", (7, 5), "fp16"),
        ("cuda", (6, 1), "fp32"),
        ("mps", None, "fp16"),
        ("xpu", None, "fp32"),
        ("cpu", {"avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ("cpu", {"avx512_bf16": False, "avx2": True}, "fp32"),
        ("cpu", None, "fp32"),
    ],
)
def test_what_the_hardware_has(monkeypatch, kind, has, wanted):
    device = torch.device(kind)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: has)
    if kind == "cpu" and has is None:
        monkeypatch.setattr(torch, "cpu", SimpleNamespace())
    elif kind == "cpu":
        told = lambda: has  # noqa: E731
        monkeypatch.setattr(torch.cpu, "get_capabilities", told, raising=False)
    name, why = advised_precision(device)
    assert name == wanted
    assert why


@pytest.mark.parametrize("px", [56, 224, 518, 700])
def test_real_tiles_are_tissue_of_any_size(px):
    tiles = real_tiles(px)
    assert tiles.shape == (4, px, px, 3)
    assert tiles.dtype == np.uint8
    # Each is tissue: neither white nor one colour, and no two are alike.
    assert (tiles.reshape(4, -1).mean(1) < 215).all()
    assert (tiles.reshape(4, -1).std(1) > 25).all()
    assert len({tile.tobytes() for tile in tiles}) == 4


def test_the_shell_says_it(monkeypatch, slide, tmp_path, capsys):
    device_with(monkeypatch)
    ask = ["embed", str(slide.path), "--json", "--device", "cpu", "--out"]
    assert main([*ask, str(tmp_path / "auto")]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["precision"] == "bf16"
    assert told["weights_revision"].endswith("+bf16")
    assert "cosine" in told["precision_why"]
    # A store is not gone on with in another precision.
    assert main([*ask, str(tmp_path / "auto"), "--precision", "fp32"]) == 1
    assert "was made with another weights" in capsys.readouterr().err
