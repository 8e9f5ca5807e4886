"""Encoders: exact architecture, strict weights, the right tokens."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from napari_pathfm.encoders import ENCODERS, load_encoder
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.errors import PathfmError, UnknownModelError, WeightsError

H0_MINI = ENCODERS["h0-mini"]


def tiles(n=2, px=224):
    return np.random.default_rng(0).integers(0, 256, (n, px, px, 3), np.uint8)


def test_h0_mini_equals_timms_own_construction(h0_mini_folder):
    folder, network = h0_mini_folder
    encoder = load_encoder("h0-mini", weights=folder, device="cpu", precision="fp32")
    seen = tiles()
    images = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    mean = torch.tensor([0.707223, 0.578729, 0.703617]).view(1, 3, 1, 1)
    std = torch.tensor([0.211883, 0.230117, 0.177517]).view(1, 3, 1, 1)
    with torch.inference_mode():
        tokens = network((images - mean) / std).numpy()
    features = encoder.encode(seen)
    assert tokens.shape == (2, 261, 768)
    np.testing.assert_allclose(features.cls, tokens[:, 0], atol=1e-4)
    patches = tokens[:, 5:].reshape(2, 16, 16, 768)
    np.testing.assert_allclose(features.patches, patches, atol=1e-4)
    assert encoder.revision.startswith("local:")


def test_h0_mini_has_the_published_names_shapes_and_count(shared_data):
    keys = shared_data.parent / "models" / "h0mini_keys.txt"
    if not keys.is_file():
        pytest.skip(f"no list of the published tensors: {keys} is absent")
    published = dict(
        line.split(" ", 1) for line in keys.read_text().splitlines() if line
    )
    with torch.device("meta"):
        own = build_vit(H0_MINI).state_dict()
    assert {k: str(tuple(v.shape)) for k, v in own.items()} == published
    assert sum(v.numel() for v in own.values()) == H0_MINI.parameters == 85_739_520


def test_a_weight_file_may_be_named_itself(h0_mini_folder):
    folder, _ = h0_mini_folder
    encoder = load_encoder("h0-mini", weights=folder / "model.safetensors")
    assert encoder.spec is H0_MINI


@pytest.mark.parametrize("harm", ["missing", "extra", "misshapen"])
def test_weights_that_do_not_fit_are_refused_by_name(harm, tmp_path):
    tensors = {
        k: v.float() for k, v in build_vit(ENCODERS["bundled"]).state_dict().items()
    }
    if harm == "missing":
        del tensors["reg_token"]
    elif harm == "extra":
        tensors["head.weight"] = torch.zeros(1)
    else:
        tensors["reg_token"] = torch.zeros(1, 3, 192)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"head\.weight|reg_token") as caught:
        load_encoder("bundled", weights=tmp_path)
    assert ("unexpected" if harm == "extra" else harm) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_models_weights_are_refused(h0_mini_folder):
    with pytest.raises(WeightsError, match="misshapen"):
        load_encoder("bundled", weights=h0_mini_folder[0])


@pytest.mark.parametrize("content", [b"", b"garbage" * 99], ids=["empty", "garbage"])
@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
def test_damaged_weights_say_which_file(content, name, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=name):
        load_encoder("h0-mini", weights=tmp_path)


def test_a_pickle_that_would_run_code_is_refused(tmp_path):
    import pickle

    class Harm:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps(Harm()))
    with pytest.raises(WeightsError):
        load_encoder("h0-mini", weights=tmp_path)
    assert not (tmp_path / "ran").exists()


def test_missing_folder_and_unknown_name(tmp_path):
    with pytest.raises(WeightsError, match="does not exist"):
        load_encoder("h0-mini", weights=tmp_path / "nowhere")
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        load_encoder("h0-mini", weights=tmp_path)
    with pytest.raises(UnknownModelError, match="h0-mini"):
        load_encoder("h0-maxi")


def test_gated_weights_offline_name_the_page_and_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="--weights DIR"):
        load_encoder("h0-mini")


def test_bundled_encoder_does_not_depend_on_the_batch():
    encoder = load_encoder(device="cpu")
    seen = tiles(11)
    together = encoder.encode(seen).cls
    alone = np.concatenate([encoder.encode(seen[i : i + 1]).cls for i in range(11)])
    np.testing.assert_allclose(together, alone, atol=1e-4)
    assert np.std(together, axis=0).mean() > 1e-3


def test_bundled_weights_are_half_precision_and_of_the_stated_count():
    from napari_pathfm.weights import bundled_path

    tensors = load_file(bundled_path("encoder.safetensors"))
    assert {v.dtype for v in tensors.values()} == {torch.float16}
    assert sum(v.numel() for v in tensors.values()) == ENCODERS["bundled"].parameters


@pytest.mark.parametrize(
    "wrong",
    [tiles()[0], tiles().astype(np.float32), tiles(1, 100), tiles()[..., :2]],
    ids=["no batch", "float", "not a multiple", "two channels"],
)
def test_wrong_tiles_are_refused(wrong):
    with pytest.raises(PathfmError, match="bundled"):
        load_encoder(device="cpu").encode(wrong)


def test_larger_fields_give_more_patches():
    features = load_encoder(device="cpu").encode(tiles(1, 448))
    assert features.patches.shape == (1, 32, 32, 192)


def test_unknown_device_is_one_line():
    with pytest.raises(PathfmError, match="no device 'quantum'"):
        load_encoder(device="quantum")
