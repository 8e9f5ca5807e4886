"""The native SiT against the published names, counts, and an independent twin."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._sit import SiTTransformer2DModel
from napari_pathfm.generators._sit_weights import (
    build_sit,
    canonical,
    load_sit,
    sit_config,
)
from napari_pathfm.generators._vae_weights import is_compvis, to_diffusers

KEYS = Path(__file__).parent.parent / "data" / "sit_xl_keys.txt"


def published_shapes():
    lines = KEYS.read_text().splitlines()
    found = (re.fullmatch(r"(\S+) \((.*)\)", line) for line in lines if line)
    return {m[1]: tuple(int(n) for n in re.findall(r"\d+", m[2])) for m in found}


def meta(**changes):
    with torch.device("meta"):
        return SiTTransformer2DModel(**changes)


def count(module):
    return sum(p.numel() for p in module.parameters())


def test_names_and_shapes_are_the_published_ones():
    told = published_shapes()
    own = meta(sample_size=28, projector_dims=(768,)).state_dict()
    assert {k: tuple(v.shape) for k, v in own.items()} == told
    assert len(told) > 290


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({"sample_size": 32, "projector_dims": (768,)}, 683_242_512),
        ({"sample_size": 28, "projector_dims": (768,)}, 683_173_392),
        (
            {
                "sample_size": 28,
                "projector_dims": (768,),
                "num_classes": None,
                "condition_dim": 768,
            },
            682_906_128,
        ),
        (
            {
                "sample_size": 32,
                "projector_dims": (768,),
                "num_classes": None,
                "condition_dim": 768,
            },
            682_975_248,
        ),
    ],
)
def test_parameters_are_as_many_as_the_reference_has(changes, parameters):
    assert count(meta(**changes)) == parameters


def test_configuration_is_read_off_the_shapes():
    tensors = {k: torch.empty(s, device="meta") for k, s in published_shapes().items()}
    config = sit_config(tensors)
    assert (config["num_layers"], config["num_attention_heads"]) == (28, 16)
    assert (config["sample_size"], config["num_classes"]) == (28, 1000)
    assert config["projector_dims"] == (768,)
    assert {k: v.shape for k, v in meta(**config).state_dict().items()} == {
        k: v.shape for k, v in tensors.items()
    }


class ReferenceBlock(nn.Module):
    """DiT's block, of timm's own parts."""

    def __init__(self, width, heads):
        super().__init__()
        from timm.models.vision_transformer import Attention, Mlp

        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(width, num_heads=heads, qkv_bias=True, qk_norm=False)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(width, 4 * width, act_layer=lambda: nn.GELU(approximate="tanh"))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        m = self.adaLN_modulation(c).unsqueeze(1).chunk(6, dim=2)
        x = x + m[2] * self.attn(self.norm1(x) * (1 + m[1]) + m[0])
        return x + m[5] * self.mlp(self.norm2(x) * (1 + m[4]) + m[3])


class Reference(nn.Module):
    """SiT put together from timm's parts, written from the description alone."""

    def __init__(self, side, width, heads, depth, condition_dim=None):
        super().__init__()
        from timm.models.vision_transformer import PatchEmbed

        self.x_embedder = PatchEmbed(side, 2, 4, width, bias=True)
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(
            nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.y_embedder = nn.Module()
        if condition_dim is None:
            self.y_embedder.embedding_table = nn.Embedding(11, width)
        else:
            self.y_embedder.to_width = nn.Linear(condition_dim, width)
            self.y_embedder.nothing = nn.Parameter(torch.zeros(1, condition_dim))
        self.pos_embed = nn.Parameter(torch.zeros(1, (side // 2) ** 2, width))
        self.blocks = nn.ModuleList(ReferenceBlock(width, heads) for _ in range(depth))
        self.projectors = nn.ModuleList(
            [
                nn.Sequential(
                    nn.Linear(width, 32),
                    nn.SiLU(),
                    nn.Linear(32, 32),
                    nn.SiLU(),
                    nn.Linear(32, 24),
                )
            ]
        )
        self.final_layer = nn.Module()
        self.final_layer.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.final_layer.linear = nn.Linear(width, 16)
        self.final_layer.adaLN_modulation = nn.Sequential(
            nn.SiLU(), nn.Linear(width, 2 * width)
        )
        self.bn = nn.BatchNorm2d(4, eps=1e-4, momentum=0.1, affine=False)

    def forward(self, x, t, told):
        side = x.shape[-1] // 2
        freqs = torch.exp(-math.log(10000) * torch.arange(128) / 128)
        args = t[:, None] * freqs[None]
        c = self.t_embedder.mlp(torch.cat([torch.cos(args), torch.sin(args)], -1))
        c = c + told
        x = self.x_embedder(x) + self.pos_embed
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.final_layer.adaLN_modulation(c).chunk(2, dim=1)
        normed = self.final_layer.norm(x)
        x = self.final_layer.linear(normed * (1 + scale[:, None]) + shift[:, None])
        x = x.reshape(len(x), side, side, 2, 2, 4)
        return torch.einsum("nhwpqc->nchpwq", x).reshape(-1, 4, 2 * side, 2 * side)


def reference(**changes):
    torch.manual_seed(0)
    network = Reference(8, 72, 3, 3, **changes).eval().requires_grad_(False)
    # As initialised, every gate would be zero and hide errors.
    for parameter in network.parameters():
        parameter.copy_(torch.randn_like(parameter) * 0.2)
    network.bn.running_mean.copy_(torch.tensor([0.3, -0.1, 0.0, 2.0]))
    network.bn.running_var.copy_(torch.tensor([0.5, 4.0, 1.0, 9.0]))
    return network


def inputs():
    g = torch.Generator().manual_seed(1)
    return torch.randn(3, 4, 8, 8, generator=g), torch.rand(3, generator=g)


def test_outputs_equal_a_network_of_timms_parts():
    other = reference()
    own = build_sit(other.state_dict(), Path("x"), heads=3)
    x, t = inputs()
    labels = torch.tensor([2, 0, 10])
    told = other.y_embedder.embedding_table(labels)
    expected = other(x, t, told)
    got = own(x, t, labels).sample
    assert (got - expected).abs().max() < 1e-5 * expected.abs().max()
    none = own(x, t, None, return_dict=False)[0]
    nothing = other.y_embedder.embedding_table(torch.tensor([10, 10, 10]))
    torch.testing.assert_close(none, other(x, t, nothing), atol=1e-5, rtol=1e-5)


def test_feature_condition_its_null_and_a_mixed_batch_equal_the_reference():
    other = reference(condition_dim=20)
    own = build_sit(other.state_dict(), Path("x"), heads=3)
    assert own.config.null_dim == 20
    x, t = inputs()
    feature = torch.randn(3, 20, generator=torch.Generator().manual_seed(2))
    told = other.y_embedder.to_width(feature)
    nothing = other.y_embedder.to_width(other.y_embedder.nothing).expand(3, -1)
    drop = torch.tensor([False, True, False])
    mixed = torch.where(drop[:, None], nothing, told)
    for got, expected in (
        (own(x, t, feature).sample, other(x, t, told)),
        (own(x, t, None).sample, other(x, t, nothing)),
        (own(x, t, feature, drop).sample, other(x, t, mixed)),
    ):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_statistics_take_latents_back_without_eps():
    own = build_sit(reference().state_dict(), Path("x"), heads=3, dtype=torch.bfloat16)
    assert own.bn.running_var.dtype == torch.float32
    z = own.denormalize(torch.ones(1, 4, 1, 1)).flatten()
    np.testing.assert_allclose(z, [0.3 + 0.5**0.5, 1.9, 1.0, 5.0], rtol=1e-6)
    there = torch.randn(2, 4, 3, 3)
    torch.testing.assert_close(own.normalize(own.denormalize(there)), there)


def test_positions_are_those_that_diffusers_has():
    """Columns first, sines before cosines; diffusers keeps the same table."""
    from diffusers.models.embeddings import get_2d_sincos_pos_embed

    from napari_pathfm.generators._sit import position_table

    other = get_2d_sincos_pos_embed(72, 5, base_size=5, output_type="pt")
    torch.testing.assert_close(position_table(5, 72)[0], other.float())


def test_projectors_are_dropped_or_kept_as_asked():
    tensors = reference().state_dict()
    assert not hasattr(build_sit(tensors, Path("x"), heads=3), "projectors")
    kept = build_sit(tensors, Path("x"), heads=3, projectors=True)
    assert kept.config.projector_dims == (24,)
    torch.testing.assert_close(
        kept.projectors[0][2].weight, tensors["projectors.0.2.weight"]
    )


def test_checkpoint_of_training_gives_its_moving_average(tmp_path):
    ema = reference().state_dict()
    other = {k: v + 1 for k, v in ema.items()}
    file = tmp_path / "0400000.pt"
    torch.save({"model": other, "ema": ema, "vae": {}, "steps": 400000}, file)
    own = load_sit(file, heads=3)
    torch.testing.assert_close(own.pos_embed, ema["pos_embed"])
    torch.save({"steps": 1}, file)
    with pytest.raises(WeightsError, match="none of ema, model"):
        load_sit(file)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda t: t.pop("blocks.1.mlp.fc2.bias"), "missing"),
        (lambda t: t.update({"blocks.1.attn.q_norm.weight": torch.ones(4)}), "unexp"),
        (lambda t: t.update({"final_layer.linear.bias": torch.ones(4)}), "misshapen"),
        (lambda t: t.pop("y_embedder.embedding_table.weight"), "condition embedder"),
        (lambda t: t.pop("pos_embed"), "not those of a SiT"),
    ],
)
def test_misfits_are_refused_by_name(spoil, says, tmp_path):
    tensors = dict(reference().state_dict())
    spoil(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=says):
        load_sit(tmp_path / "model.safetensors", heads=3)


def test_embedder_that_is_no_linear_map_is_refused():
    tensors = dict(reference(condition_dim=20).state_dict())
    tensors["y_embedder.second.weight"] = torch.zeros(72, 72)
    with pytest.raises(WeightsError, match="no single linear map"):
        canonical(tensors)


def test_unknown_heads_are_asked_for():
    with pytest.raises(WeightsError, match="num_attention_heads"):
        build_sit(reference().state_dict(), Path("x"))


def test_saved_and_loaded_as_diffusers_models_are(tmp_path):
    own = build_sit(reference().state_dict(), Path("x"), heads=3)
    own.save_pretrained(tmp_path)
    again = SiTTransformer2DModel.from_pretrained(tmp_path)
    x, t = inputs()
    torch.testing.assert_close(own(x, t).sample, again(x, t).sample, rtol=0, atol=0)


SMALL_VAE = {
    "block_out_channels": (8, 16, 16),
    "down_block_types": ("DownEncoderBlock2D",) * 3,
    "up_block_types": ("UpDecoderBlock2D",) * 3,
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "latent_channels": 4,
}


def compvis_names(tensors):
    """Name an AutoencoderKL's tensors as CompVis does."""
    renamed = {}
    for name, tensor in tensors.items():
        name = name.replace("mid_block.resnets.0.", "mid.block_1.")
        name = name.replace("mid_block.resnets.1.", "mid.block_2.")
        for new, old in (
            ("group_norm", "norm"),
            ("to_q", "q"),
            ("to_k", "k"),
            ("to_v", "v"),
            ("to_out.0", "proj_out"),
        ):
            whole = f"mid_block.attentions.0.{new}."
            if whole in name:
                name = name.replace(whole, f"mid.attn_1.{old}.")
                if tensor.ndim == 2:
                    tensor = tensor[:, :, None, None]
        name = re.sub(r"down_blocks\.(\d)\.resnets\.(\d)", r"down.\1.block.\2", name)
        name = re.sub(
            r"down_blocks\.(\d)\.downsamplers\.0", r"down.\1.downsample", name
        )
        name = re.sub(
            r"up_blocks\.(\d)\.(resnets\.(\d)|upsamplers\.0)",
            lambda m: (
                f"up.{2 - int(m[1])}."
                + ("upsample" if m[3] is None else f"block.{m[3]}")
            ),
            name,
        )
        name = name.replace("conv_shortcut", "nin_shortcut")
        renamed[name.replace("conv_norm_out", "norm_out")] = tensor
    return renamed


def test_training_checkpoint_makes_images(tmp_path):
    """`ema` and a CompVis-named `vae` in one file, as REPA-E saves them."""
    from diffusers import AutoencoderKL

    from napari_pathfm.generators._native import NativeSiT
    from napari_pathfm.generators._settings import Settings

    torch.manual_seed(0)
    vae = AutoencoderKL(**SMALL_VAE).eval()
    file = tmp_path / "checkpoint.pt"
    ema = reference(condition_dim=20).state_dict()
    torch.save({"ema": ema, "vae": compvis_names(vae.state_dict()), "steps": 1}, file)
    made = NativeSiT.of_checkpoint(file, heads=3, groups=4)
    with torch.inference_mode():
        latents = torch.randn(1, 4, 8, 8)
        torch.testing.assert_close(
            made._vae.decode(latents).sample, vae.decode(latents).sample
        )
    row = np.ones(20, np.float32)
    settings = Settings("sde", 3, 2.0, (0.0, 0.75), "own")
    done = []
    pixels = made.draw(row, 0, settings, lambda n, _: done.append(n), watched=False)
    assert pixels.shape == (32, 32, 3)
    assert done == [1, 2, 3]
    # Its inside, for areas: four pixels a cell, encoded as the network sees them.
    flow = made.flow("native")
    assert (flow.side, flow.downsample, flow.channels) == (8, 4, 4)
    with torch.inference_mode():
        again = flow.encode(flow.decode(latents))
    assert again.shape == latents.shape
    torch.save({"ema": ema, "vae": {"encoder.x": torch.ones(1)}}, file)
    with pytest.raises(WeightsError, match="no autoencoder"):
        NativeSiT.of_checkpoint(file, heads=3)


def test_autoencoder_of_compvis_is_converted_as_diffusers_does():
    from diffusers import AutoencoderKL
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    torch.manual_seed(0)
    network = AutoencoderKL(**SMALL_VAE)
    old = compvis_names(network.state_dict())
    assert is_compvis(old)
    theirs = convert_ldm_vae_checkpoint(dict(old), network.config)
    own = to_diffusers(old)
    assert own.keys() == theirs.keys() == network.state_dict().keys()
    for name, tensor in theirs.items():
        assert torch.equal(own[name], tensor), name
    assert to_diffusers(network.state_dict()).keys() == network.state_dict().keys()
