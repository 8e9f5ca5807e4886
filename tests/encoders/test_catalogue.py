"""Every encoder of the catalogue against an independent construction of it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import load_file, save_file
from timm.layers import SwiGLUPacked

from napari_pathfm.encoders import ENCODERS, Encoder, default_encoder, load_encoder
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.errors import PathfmError, WeightsError

# As the models' own pages and their public users write it.
SWIGLU = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU}
TIMM = {
    "h-optimus-0": ("vit_giant_patch14_reg4_dinov2", {}),
    "h-optimus-1": ("vit_giant_patch14_reg4_dinov2", {}),
    "uni": ("vit_large_patch16_224", {}),
    "uni2-h": (
        "vit_giant_patch14_224",
        {
            "patch_size": 14,
            "depth": 24,
            "num_heads": 24,
            "embed_dim": 1536,
            "mlp_ratio": 2.66667 * 2,
            "no_embed_class": True,
            "reg_tokens": 8,
            **SWIGLU,
        },
    ),
    "virchow2": (
        "vit_huge_patch14_224",
        {"mlp_ratio": 5.3375, "reg_tokens": 4, **SWIGLU},
    ),
    "gigapath": ("vit_giant_patch14_dinov2", {"patch_size": 16, "mlp_ratio": 5.33334}),
}


def independent(name: str, **more):
    model, arguments = TIMM[name]
    return timm.create_model(
        model,
        pretrained=False,
        **{
            "img_size": 224,
            "init_values": 1e-5,
            "num_classes": 0,
            "global_pool": "",
            "dynamic_img_size": True,
            **arguments,
            **more,
        },
    ).eval()


def shallow(name: str):
    """The spec with two blocks: the giants' width in a fraction of their memory."""
    spec = ENCODERS[name]
    return replace(spec, arguments={**spec.arguments, "depth": 2})


def stir(network) -> None:
    """Layer scale as initialised would make every block a no-op and hide errors."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "gamma" in name or "lambda1" in name:
                parameter.fill_(0.5)
            elif parameter.ndim == 1 or "pos" in name or "token" in name:
                parameter.add_(torch.randn_like(parameter) * 0.02)


def encoder_of(spec, tensors, pooling=None) -> Encoder:
    network = build_vit(spec)
    network.load_state_dict(tensors, strict=True)
    return Encoder(spec, network, "test:0", torch.device("cpu"), pooling)


def tiles(height: int = 224, width: int = 224):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (2, height, width, 3), np.uint8)


def images(seen, spec):
    batch = torch.from_numpy(seen).permute(0, 3, 1, 2).float() / 255
    shape = (1, 3, 1, 1)
    return (batch - torch.tensor(spec.mean).view(shape)) / torch.tensor(spec.std).view(
        shape
    )


@pytest.mark.parametrize("name", TIMM)
def test_exact_names_shapes_and_parameter_count(name):
    with torch.device("meta"):
        ours, theirs = build_vit(ENCODERS[name]), independent(name)
    mine, other = (
        {k: tuple(v.shape) for k, v in n.state_dict().items()} for n in (ours, theirs)
    )
    assert mine == other
    count = sum(p.numel() for p in ours.parameters())
    assert count == ENCODERS[name].parameters


@pytest.mark.parametrize("name", sorted(set(TIMM) - {"h-optimus-1"}))
@pytest.mark.parametrize("side", [(224, 224), (224, 448)])
def test_tokens_equal_timms_own(name, side):
    spec = shallow(name)
    sides = [length // 224 * spec.patch_px * 6 for length in side]
    torch.manual_seed(0)
    network = independent(name, depth=2)
    stir(network)
    encoder = encoder_of(spec, network.state_dict())
    seen = tiles(*sides)
    with torch.inference_mode():
        tokens = network(images(seen, spec)).numpy()
    features = encoder.encode(seen)
    prefix = spec.prefix_tokens
    np.testing.assert_allclose(features.cls, tokens[:, 0], atol=1e-5)
    rows, columns = (length // spec.patch_px for length in sides)
    wanted = tokens[:, prefix:].reshape(2, rows, columns, spec.dim)
    np.testing.assert_allclose(features.patches, wanted, atol=1e-5)
    assert tokens.shape[1] == prefix + rows * columns


@pytest.mark.parametrize("name", ["phikon", "phikon-v2"])
def test_transformers_layout_equals_transformers(name, tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs transformers")
    spec = shallow(name)
    torch.manual_seed(0)
    if name == "phikon":
        config = transformers.ViTConfig(num_hidden_layers=2, layer_norm_eps=1e-6)
        network = transformers.ViTModel(config, add_pooling_layer=False)
    else:
        config = transformers.Dinov2Config(
            hidden_size=1024,
            num_hidden_layers=2,
            num_attention_heads=16,
            patch_size=16,
            image_size=224,
        )
        network = transformers.Dinov2Model(config)
    network.eval()
    stir(network)
    network.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    assert "encoder.layer.1.attention.attention.query.weight" in tensors
    encoder = encoder_of(spec, spec.tensors(tensors))
    seen = tiles()
    with torch.inference_mode():
        tokens = network(images(seen, spec)).last_hidden_state.numpy()
    features = encoder.encode(seen)
    np.testing.assert_allclose(features.cls, tokens[:, 0], atol=1e-5)
    wanted = tokens[:, 1:].reshape(2, 14, 14, spec.dim)
    np.testing.assert_allclose(features.patches, wanted, atol=1e-5)


@pytest.mark.parametrize("name", ["phikon", "phikon-v2"])
def test_parameters_of_the_transformers_layout(name):
    with torch.device("meta"):
        network = build_vit(ENCODERS[name])
    count = sum(p.numel() for p in network.parameters())
    assert count == ENCODERS[name].parameters


def in_old_names(network) -> dict[str, torch.Tensor]:
    """A timm ViT's tensors as transformers 4.x names them, written out by hand."""
    own = network.state_dict()
    told = {
        "embeddings.cls_token": own["cls_token"],
        "embeddings.position_embeddings": own["pos_embed"],
        "layernorm.weight": own["norm.weight"],
        "layernorm.bias": own["norm.bias"],
    }
    for kind in ("weight", "bias"):
        told[f"embeddings.patch_embeddings.projection.{kind}"] = own[
            f"patch_embed.proj.{kind}"
        ]
        for i in range(len(network.blocks)):
            block, layer = f"blocks.{i}", f"encoder.layer.{i}"
            q, k, v = own[f"{block}.attn.qkv.{kind}"].chunk(3)
            for which, tensor in (("query", q), ("key", k), ("value", v)):
                told[f"{layer}.attention.attention.{which}.{kind}"] = tensor
            for ours, theirs in (
                ("attn.proj", "attention.output.dense"),
                ("norm1", "layernorm_before"),
                ("norm2", "layernorm_after"),
                ("mlp.fc1", "intermediate.dense"),
                ("mlp.fc2", "output.dense"),
            ):
                told[f"{layer}.{theirs}.{kind}"] = own[f"{block}.{ours}.{kind}"]
    return {k: v.contiguous().clone() for k, v in told.items()}


@pytest.fixture(scope="module")
def phikon_folder(tmp_path_factory):
    torch.manual_seed(0)
    network = build_vit(ENCODERS["phikon"]).eval()
    folder = tmp_path_factory.mktemp("phikon")
    save_file(in_old_names(network), folder / "model.safetensors")
    return folder, network


def test_phikon_loads_from_its_folder_without_transformers(phikon_folder):
    folder, network = phikon_folder
    encoder = load_encoder("phikon", weights=folder, device="cpu", precision="fp32")
    spec, seen = encoder.spec, tiles()
    with torch.inference_mode():
        wanted = network(images(seen, spec))[:, 0].numpy()
    np.testing.assert_allclose(encoder.encode(seen).cls, wanted, atol=1e-5)
    code = (
        "import sys; sys.modules['transformers'] = None\n"
        "from napari_pathfm import load_encoder\n"
        f"load_encoder('phikon', weights={str(folder)!r}, device='cpu')"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("encoder.layer.3.attention.attention.key.weight", r"qkv\.weight is"),
        ("layernorm.bias", r"missing \(norm\.bias\)"),
    ],
)
def test_a_checkpoint_of_that_layout_is_loaded_strictly(
    phikon_folder, tmp_path, harm, says
):
    tensors = load_file(phikon_folder[0] / "model.safetensors")
    del tensors[harm]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=says):
        load_encoder("phikon", weights=tmp_path)
    tensors["pooler.dense.weight"] = torch.zeros(2, 2)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=r"pooler\.dense\.weight"):
        load_encoder("phikon", weights=tmp_path)


def test_pooling_is_cls_and_the_mean_of_exactly_the_patch_tokens():
    spec = shallow("virchow2")
    torch.manual_seed(0)
    network = independent("virchow2", depth=2)
    stir(network)
    encoder = encoder_of(spec, network.state_dict())
    assert (encoder.pooling, encoder.feature_dim) == ("cls+mean", 2560)
    seen = tiles(84, 84)
    with torch.inference_mode():
        tokens = network(images(seen, spec))
    wanted = torch.cat([tokens[:, 0], tokens[:, 5:].mean(1)], 1).numpy()
    np.testing.assert_allclose(encoder.encode(seen).pooled, wanted, atol=1e-5)
    only = encoder_of(spec, network.state_dict(), "cls")
    np.testing.assert_allclose(
        only.encode(seen).pooled, tokens[:, 0].numpy(), atol=1e-5
    )
    with pytest.raises(PathfmError, match="no pooling 'mean'"):
        load_encoder("bundled", pooling="mean")


def test_a_store_keeps_what_was_pooled(tmp_path, slide):
    from napari_pathfm import embed_slide
    from napari_pathfm.errors import StoreError
    from napari_pathfm.slides import tile_grid

    grid = tile_grid(slide, tissue=False, px=224, mpp=0.5)
    both = load_encoder("bundled", device="cpu", pooling="cls+mean")
    store = embed_slide(slide, both, tmp_path / "s.zarr", grid=grid)
    assert store.features.shape[1] == 384
    assert store.attrs["pooling"] == "cls+mean"
    with pytest.raises(StoreError, match="another pooling"):
        embed_slide(slide, load_encoder(device="cpu"), tmp_path / "s.zarr", grid=grid)


def test_every_entry_says_what_a_person_needs():
    for spec in ENCODERS.values():
        assert spec.licence
        assert spec.citation
        assert spec.precision
        assert spec.tile_px % spec.patch_px == 0
        if spec.hub_repo is not None:
            assert spec.access_page == f"https://huggingface.co/{spec.hub_repo}"


def test_h0_mini_is_the_default_as_soon_as_its_weights_are_here(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "napari_pathfm.encoders._catalogue.cached_file", lambda *a, **k: None
    )
    assert default_encoder() == "bundled"
    (tmp_path / "H0-mini").mkdir()
    assert default_encoder(tmp_path) == "h0-mini"
    monkeypatch.setenv("NAPARI_PATHFM_WEIGHTS", str(tmp_path))
    assert default_encoder() == "h0-mini"
    monkeypatch.delenv("NAPARI_PATHFM_WEIGHTS")
    monkeypatch.setattr(
        "napari_pathfm.encoders._catalogue.cached_file", lambda *a, **k: tmp_path
    )
    assert default_encoder() == "h0-mini"
