"""The doctor reads folders: what is broken is named, and no network is asked."""

from __future__ import annotations

import dataclasses
import json
import pickle
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_pathfm.encoders import ENCODERS
from napari_pathfm.generators import GENERATORS
from napari_pathfm.weights import Cause, bundled_path, diagnose
from napari_pathfm.weights._integrity import sha256

NAME = "model.safetensors"
TINY = dataclasses.replace(
    ENCODERS["bundled"],
    title="Tiny",
    bundled=(),
    hub_repo="makers/model",
    access_page="https://huggingface.co/makers/model",
)
CYTOSYN = GENERATORS["cytosyn"]


@pytest.fixture(autouse=True)
def hub(fake_hub):
    """Whatever is asked would be noticed."""
    yield fake_hub
    assert fake_hub.asked == []


@pytest.fixture
def tensors():
    return load_file(bundled_path("encoder.safetensors"))


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "model"
    made.mkdir()
    shutil.copy(bundled_path("encoder.safetensors"), made / NAME)
    return made


def reason(cause, folder, spec=TINY, **keywords):
    diagnosis = diagnose(spec, weights=folder, **keywords)
    assert not diagnosis.usable
    assert diagnosis.reason.cause is cause
    assert diagnosis.reason.remedy
    assert all("\n" not in line for line in diagnosis.lines())
    return diagnosis.reason.says


def test_a_whole_folder_and_a_single_file(folder):
    for given in (folder, folder / NAME, str(folder)):
        diagnosis = diagnose(TINY, weights=given)
        assert diagnosis.usable
        assert diagnosis.status == "local"
        assert "every tensor of Tiny" in "\n".join(diagnosis.lines())


def test_a_missing_folder_and_a_folder_without_weights(folder):
    assert "does not exist" in reason(Cause.MISSING, folder / "no")
    (folder / NAME).unlink()
    assert "pytorch_model.bin" in reason(Cause.MISSING, folder)


@pytest.mark.parametrize("keep", [0, 5, 100, 200_000, -1])
def test_a_truncated_file(folder, keep):
    data = (folder / NAME).read_bytes()
    (folder / NAME).write_bytes(data[:keep])
    says = reason(Cause.PARTIAL if keep != 5 else Cause.CORRUPT, folder)
    if keep == -1:
        assert f"{len(data) - 1:,} bytes of {len(data):,}" in says


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid x", Cause.LFS_POINTER),
        (b"<!DOCTYPE html><html>Sign in</html>", Cause.CORRUPT),
        (b"\x10" + bytes(7) + b"no json no json!" + bytes(90), Cause.CORRUPT),
        (b"\xff" * 4096, Cause.CORRUPT),
    ],
)
def test_what_is_no_weights_at_all(folder, content, cause):
    (folder / NAME).write_bytes(content)
    reason(cause, folder)


def test_wrong_shapes_renamed_missing_and_unexpected_tensors(folder, tensors):
    changed = {**tensors, "cls_token": torch.zeros(1, 1, 64)}
    save_file(changed, folder / NAME)
    says = reason(Cause.ARCHITECTURE, folder)
    assert "cls_token is (1, 1, 64), not (1, 1, 192)" in says
    assert "parameters, not 2,910,720" in says
    renamed = {f"model.{name}": tensor for name, tensor in tensors.items()}
    save_file(renamed, folder / NAME)
    says = reason(Cause.ARCHITECTURE, folder)
    assert f"{len(tensors)} missing" in says
    assert f"{len(tensors)} unexpected (model." in says
    assert "parameters, not" not in says  # there are as many
    save_file({**tensors, "head.weight": torch.zeros(2, 192)}, folder / NAME)
    assert "1 unexpected (head.weight)" in reason(Cause.ARCHITECTURE, folder)


def test_pickles(folder, tensors, tmp_path):
    (folder / NAME).unlink()
    path = folder / "pytorch_model.bin"
    torch.save(tensors, path)
    assert diagnose(TINY, weights=folder).usable
    path.write_bytes(path.read_bytes()[:-2000])
    reason(Cause.PARTIAL, folder)
    path.write_bytes(b"")
    reason(Cause.PARTIAL, folder)
    torch.save([1, 2], path)
    assert "no state dict" in reason(Cause.CORRUPT, folder)


def test_a_pickle_with_code_in_it_is_not_run(folder, tensors, tmp_path):
    (folder / NAME).unlink()
    mark = tmp_path / "ran"

    class Trap:
        def __reduce__(self):
            return (open, (str(mark), "w"))

    torch.save({**tensors, "trap": Trap()}, folder / "pytorch_model.bin")
    reason(Cause.UNSAFE_PICKLE, folder)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"trap": Trap()}))
    reason(Cause.UNSAFE_PICKLE, folder)
    assert not mark.exists()


def test_a_folder_remembers_the_checksum_of_its_download(folder):
    notes = folder / ".cache" / "huggingface" / "download"
    notes.mkdir(parents=True)
    note = notes / f"{NAME}.metadata"
    note.write_text(f"{'0' * 40}\n{sha256(folder / NAME)}\n1700000000.0\n")
    assert diagnose(TINY, weights=folder).usable
    data = bytearray((folder / NAME).read_bytes())
    data[-100] ^= 1
    (folder / NAME).write_bytes(data)
    reason(Cause.CHECKSUM, folder)


def test_no_memory(folder, monkeypatch):
    import psutil

    class Little:
        available = 300 << 20

    monkeypatch.setattr(psutil, "virtual_memory", Little)
    says = reason(Cause.NO_MEMORY, folder)
    assert "0.3 GiB free, about 0.5 GiB needed" in says


def test_devices(folder, monkeypatch):
    assert reason(Cause.NO_DEVICE, folder, device="cuda:7").endswith("(cuda:7)")
    reason(Cause.NO_DEVICE, folder, device="toaster")
    assert diagnose(TINY, weights=folder, device="cpu").usable
    large = dataclasses.replace(TINY, parameters=1_134_774_272)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    device = diagnose(large, weights=folder).checks[-1]
    assert (device.cause, device.outcome) == (Cause.NO_GPU, "noted")


def test_a_gpu_that_is_too_small(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(
        torch,
        "empty",
        lambda *a, real=torch.empty, **k: real(
            *a, **{**k, "device": "meta"} if str(k.get("device")) == "cuda" else k
        ),
    )
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1 << 28, 4 << 30))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Small GPU")
    says = reason(Cause.GPU_TOO_SMALL, folder)
    assert "Small GPU, 0.2 GiB of 4.0 GiB free, about 0.5 GiB needed" in says
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 << 30, 4 << 30))
    assert diagnose(TINY, weights=folder).usable


def test_the_published_encoder_by_its_header_alone(h0_mini_folder):
    folder, _ = h0_mini_folder
    diagnosis = diagnose(ENCODERS["h0-mini"], weights=folder)
    assert diagnosis.usable
    # Another model's weights are told apart.
    reason(Cause.ARCHITECTURE, folder)


@pytest.fixture
def parts(cytosyn_folder, tmp_path):
    made = tmp_path / "CytoSyn"
    shutil.copytree(cytosyn_folder, made)
    return made


def agreed(cause, parts):
    return reason(cause, parts, CYTOSYN, trust_remote_code=True)


def test_a_pipeline_folder(parts):
    assert diagnose(CYTOSYN, weights=parts, trust_remote_code=True).usable
    assert "Python code" in reason(Cause.NO_CONSENT, parts, CYTOSYN)


def test_a_pipeline_folder_lacks_a_part(parts):
    (parts / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    says = agreed(Cause.MISSING, parts)
    assert "transformer/diffusion_pytorch_model.safetensors" in says
    shutil.rmtree(parts / "vae")
    assert "vae/config.json" in agreed(Cause.MISSING, parts)
    assert "is a file" in agreed(Cause.MISSING, parts / "model_index.json")
    (parts / "model_index.json").unlink()
    assert "model_index.json" in agreed(Cause.MISSING, parts)


def test_a_pipeline_folder_is_damaged(parts):
    weights = parts / "vae" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert "vae" in agreed(Cause.PARTIAL, parts)
    (parts / "vae" / "config.json").write_text("{")
    assert "config.json" in agreed(Cause.CORRUPT, parts)
    (parts / "model_index.json").write_text("[]")
    assert "model_index.json" in agreed(Cause.CORRUPT, parts)


def test_a_part_in_shards(parts):
    part = parts / "transformer"
    whole = part / "diffusion_pytorch_model.safetensors"
    tensors = load_file(whole)
    whole.unlink()
    names = sorted(tensors)
    shards = {"a.safetensors": names[:2], "b.safetensors": names[2:]}
    for shard, own in shards.items():
        save_file({name: tensors[name] for name in own}, part / shard)
    where = {name: shard for shard, own in shards.items() for name in own}
    index = part / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": where}))
    assert diagnose(CYTOSYN, weights=parts, trust_remote_code=True).usable
    (part / "b.safetensors").unlink()
    assert "transformer/b.safetensors" in agreed(Cause.MISSING, parts)


def test_the_bundled_generator_from_a_folder(tmp_path):
    bundled = GENERATORS["bundled"]
    for name in bundled.bundled:
        shutil.copy(bundled_path(name), tmp_path / name)
    assert diagnose(bundled, weights=tmp_path).usable
    shutil.copy(bundled_path(bundled.bundled[0]), tmp_path / bundled.bundled[1])
    reason(Cause.ARCHITECTURE, tmp_path, bundled)
    (tmp_path / bundled.bundled[0]).unlink()
    assert bundled.bundled[0] in reason(Cause.MISSING, tmp_path, bundled)
