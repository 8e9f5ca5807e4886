"""Folders of random weights, laid out as the published repositories are."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

PIPELINE = '''
"""A stand-in with the layout and the call of CytoSyn's repository; random weights."""

import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from PIL import Image


class StandInPipeline(DiffusionPipeline):
    def __init__(self, vae, transformer):
        super().__init__()
        self.register_modules(vae=vae, transformer=transformer)

    @torch.no_grad()
    def __call__(self, h0_mini_embeds=None, num_images_per_prompt=1,
                 num_inference_steps=250, guidance_scale=2.5, guidance_low=0.0,
                 guidance_high=0.75, seed=0):
        if h0_mini_embeds is not None:
            assert h0_mini_embeds.shape[1] == 768, h0_mini_embeds.shape
            assert h0_mini_embeds.dtype == torch.float32
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(num_images_per_prompt, 4, 28, 28, generator=generator)
        steps = torch.linspace(1, 0, num_inference_steps + 1)
        for now, then in zip(steps[:-1], steps[1:]):
            v = self.transformer(x, now, h0_mini_embeds)
            if h0_mini_embeds is not None and guidance_low <= now <= guidance_high:
                free = self.transformer(x, now, None)
                v = free + guidance_scale * (v - free)
            x = x + (then - now) * v
        images = self.vae.decode(x).sample.clamp(-1, 1)
        arrays = ((images + 1) * 127.5).byte().permute(0, 2, 3, 1).numpy()
        return {"images": [Image.fromarray(a) for a in arrays]}
'''
TRANSFORMER = """
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config


class StandInSiT(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width=16):
        super().__init__()
        self.enter = torch.nn.Conv2d(4, width, 1)
        self.condition = torch.nn.Linear(768, width)
        self.leave = torch.nn.Conv2d(width, 4, 1)

    def forward(self, x, t, condition):
        inner = self.enter(x) + t
        if condition is not None:
            inner = inner + self.condition(condition)[:, :, None, None]
        return self.leave(torch.tanh(inner))
"""


# REPA-E's names, and its `inference`, which no hook on the whole network hears of.
SIT = """
import math
import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from timm.models.vision_transformer import Attention, Mlp, PatchEmbed
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.norm1 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.attn = Attention(width, num_heads=heads, qkv_bias=True)
        self.norm2 = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.mlp = Mlp(width, 4 * width, act_layer=lambda: nn.GELU(approximate="tanh"))
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 6 * width))

    def forward(self, x, c):
        m = self.adaLN_modulation(c).unsqueeze(1).chunk(6, dim=2)
        x = x + m[2] * self.attn(self.norm1(x) * (1 + m[1]) + m[0])
        return x + m[5] * self.mlp(self.norm2(x) * (1 + m[4]) + m[3])


class StandInSiT(ModelMixin, ConfigMixin):
    @register_to_config
    def __init__(self, width=48, num_heads=4, depth=2, twist=0.0):
        super().__init__()
        self.x_embedder = PatchEmbed(28, 2, 4, width)
        self.t_embedder = nn.Module()
        self.t_embedder.mlp = nn.Sequential(
            nn.Linear(256, width), nn.SiLU(), nn.Linear(width, width)
        )
        self.y_embedder = nn.Module()
        self.y_embedder.linear = nn.Linear(768, width)
        self.y_embedder.null_embedding = nn.Parameter(torch.zeros(1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 196, width))
        self.blocks = nn.ModuleList(Block(width, num_heads) for _ in range(depth))
        self.final_layer = nn.Module()
        self.final_layer.norm = nn.LayerNorm(width, elementwise_affine=False, eps=1e-6)
        self.final_layer.linear = nn.Linear(width, 16)
        self.final_layer.adaLN_modulation = nn.Sequential(
            nn.SiLU(), nn.Linear(width, 2 * width)
        )
        self.bn = nn.BatchNorm2d(4, eps=1e-4, affine=False)

    def inference(self, x, t, y):
        frequencies = torch.exp(-math.log(10000) * torch.arange(128) / 128)
        angles = t.float()[:, None] * frequencies
        c = self.t_embedder.mlp(torch.cat([angles.cos(), angles.sin()], -1))
        c = c + (self.y_embedder.null_embedding if y is None
                 else self.y_embedder.linear(y))
        x = self.x_embedder(x) + self.pos_embed
        for block in self.blocks:
            x = block(x, c)
        shift, scale = self.final_layer.adaLN_modulation(c).chunk(2, dim=1)
        x = self.final_layer.norm(x) * (1 + scale[:, None]) + shift[:, None]
        x = self.final_layer.linear(x).reshape(len(x), 14, 14, 2, 2, 4)
        x = torch.einsum("nhwpqc->nchpwq", x).reshape(-1, 4, 28, 28)
        return x + self.config.twist * x.sin()
"""
SIT_PIPELINE = """
import torch
from diffusers import DiffusionPipeline
from PIL import Image


class StandInPipeline(DiffusionPipeline):
    def __init__(self, vae, transformer):
        super().__init__()
        self.register_modules(vae=vae, transformer=transformer)

    @torch.no_grad()
    def __call__(self, h0_mini_embeds=None, num_images_per_prompt=1,
                 num_inference_steps=250, guidance_scale=2.5, guidance_low=0.0,
                 guidance_high=0.75, seed=0):
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(num_images_per_prompt, 4, 28, 28, generator=generator).double()
        times = torch.linspace(1, 0.04, num_inference_steps, dtype=torch.float64)
        times = torch.cat([times, torch.zeros(1, dtype=torch.float64)])
        for t, then in zip(times[:-1], times[1:]):
            seen, now = x.float(), t.float().expand(len(x))
            v = self.transformer.inference(seen, now, h0_mini_embeds).double()
            guided = guidance_low <= t <= guidance_high
            if h0_mini_embeds is not None and guidance_scale != 1 and guided:
                free = self.transformer.inference(seen, now, None).double()
                v = free + guidance_scale * (v - free)
            score = -(x + (1 - t) * v) / t
            x = x + (v - t * score) * (then - t)
            if then > 0:
                noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
                x = x + torch.sqrt(2 * t) * torch.sqrt(t - then) * noise
        bn = self.transformer.bn
        x = x.float() * bn.running_var.sqrt()[:, None, None]
        x = x + bn.running_mean[:, None, None]
        images = (self.vae.decode(x).sample + 1) / 2 * 255
        arrays = images.clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
        return {"images": [Image.fromarray(a) for a in arrays]}
"""


def _sit_folder(folder, twist):
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    (folder / "pipeline.py").write_text(SIT_PIPELINE)
    part = folder / "transformer"
    part.mkdir()
    (part / "sit.py").write_text(SIT)
    config = {"_class_name": "StandInSiT", "width": 48, "num_heads": 4, "twist": twist}
    (part / "config.json").write_text(json.dumps(config))
    scope: dict = {}
    exec(SIT, scope)
    network = scope["StandInSiT"]()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.1)
        network.bn.running_mean.copy_(torch.tensor([0.2, -0.3, 0.1, 0.0]))
        network.bn.running_var.copy_(torch.tensor([0.5, 2.0, 1.5, 1.0]))
    save_file(network.state_dict(), part / "diffusion_pytorch_model.safetensors")
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(folder / "vae")
    index = {
        "_class_name": ["pipeline", "StandInPipeline"],
        "_diffusers_version": "0.35.0",
        "transformer": ["sit", "StandInSiT"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


PIXCELL_PIPELINE = """
import torch
from diffusers import DiffusionPipeline
from diffusers.image_processor import VaeImageProcessor
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput


class PixCellPipeline(DiffusionPipeline):
    def __init__(self, vae, transformer, scheduler):
        super().__init__()
        self.register_modules(vae=vae, transformer=transformer, scheduler=scheduler)

    def get_unconditional_embedding(self, batch_size=1):
        return torch.zeros(batch_size, 1, self.transformer.config.caption_channels)

    @torch.no_grad()
    def __call__(self, uni_embeds=None, negative_uni_embeds=None, guidance_scale=1.5,
                 num_inference_steps=20, generator=None):
        assert uni_embeds.shape[1:] == (1, 1536), uni_embeds.shape
        told = uni_embeds
        if guidance_scale > 1:
            told = torch.cat([negative_uni_embeds, uni_embeds])
        side = self.transformer.config.sample_size
        x = torch.randn(len(uni_embeds), 16, side, side, generator=generator)
        self.scheduler.set_timesteps(num_inference_steps)
        nothing = {"resolution": None, "aspect_ratio": None}
        for t in self.scheduler.timesteps:
            twice = torch.cat([x] * (len(told) // len(x)))
            out = self.transformer(
                twice, encoder_hidden_states=told, timestep=t.expand(len(twice)),
                added_cond_kwargs=nothing, return_dict=False)[0].chunk(2, 1)[0]
            if guidance_scale > 1:
                free, out = out.chunk(2)
                out = free + guidance_scale * (out - free)
            x = self.scheduler.step(out, t, x, return_dict=False)[0]
        config = self.vae.config
        x = x / config.scaling_factor + config.shift_factor
        images = VaeImageProcessor().postprocess(self.vae.decode(x).sample)
        return ImagePipelineOutput(images=images)
"""


@pytest.fixture(scope="session")
def pixcell_folder(tmp_path_factory):
    """PixCell-256 with its two other repositories beside it, tiny, random weights.

    The denoiser is diffusers' own PixArt with a condition of 1,536, as published; what
    the published pipeline holds beyond its call is not known here.
    """
    from diffusers import (
        AutoencoderKL,
        DPMSolverMultistepScheduler,
        PixArtTransformer2DModel,
    )

    torch.manual_seed(0)
    root = tmp_path_factory.mktemp("pixcell")
    folder, code = root / "PixCell-256", root / "PixCell-pipeline"
    code.mkdir()
    (code / "pipeline.py").write_text(PIXCELL_PIPELINE)
    PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=16,
        out_channels=32,
        num_layers=2,
        cross_attention_dim=24,
        sample_size=32,
        caption_channels=1536,
        use_additional_conditions=False,
    ).save_pretrained(folder / "transformer")
    DPMSolverMultistepScheduler().save_pretrained(folder / "scheduler")
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        latent_channels=16,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    ).save_pretrained(root / "stable-diffusion-3.5-large" / "vae")
    index = {
        "_class_name": "PixCellPipeline",
        "_diffusers_version": "0.35.0",
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "transformer": ["diffusers", "PixArtTransformer2DModel"],
        "vae": [None, None],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def cytosyn_sit_folder(tmp_path_factory):
    """A CytoSyn folder whose transformer has REPA-E's names and does what they say."""
    return _sit_folder(tmp_path_factory.mktemp("CytoSyn-sit"), twist=0.0)


@pytest.fixture(scope="session")
def cytosyn_other_folder(tmp_path_factory):
    """The same names and shapes, but a network that does something else with them."""
    return _sit_folder(tmp_path_factory.mktemp("CytoSyn-other"), twist=0.8)


@pytest.fixture(scope="session")
def cytosyn_folder(tmp_path_factory):
    """A folder laid out as a diffusers repository with code of its own.

    What is published inside CytoSyn's repository is not known here; this has its kind
    of files (model_index.json, pipeline.py, a component with code, an AutoencoderKL)
    and its call.
    """
    from diffusers import AutoencoderKL

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("CytoSyn")
    (folder / "pipeline.py").write_text(PIPELINE)
    part = folder / "transformer"
    part.mkdir()
    (part / "sit.py").write_text(TRANSFORMER)
    config = {"_class_name": "StandInSiT", "_diffusers_version": "0.35.0", "width": 16}
    (part / "config.json").write_text(json.dumps(config))
    scope: dict = {}
    exec(TRANSFORMER, scope)
    tensors = scope["StandInSiT"]().state_dict()
    save_file(tensors, part / "diffusion_pytorch_model.safetensors")
    AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
    ).save_pretrained(folder / "vae")
    index = {
        "_class_name": ["pipeline", "StandInPipeline"],
        "_diffusers_version": "0.35.0",
        "transformer": ["sit", "StandInSiT"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


@pytest.fixture(scope="session")
def h0_mini_folder(tmp_path_factory):
    """A folder laid out as the published repository, with random weights in it.

    Built by timm's own registered architecture with the arguments of the model card,
    not by our builder, so that loading it is a parity test.
    """
    import timm
    from timm.layers import SwiGLUPacked

    torch.manual_seed(0)
    network = timm.create_model(
        "vit_base_patch14_reg4_dinov2",
        pretrained=False,
        img_size=224,
        init_values=1e-5,
        num_classes=0,
        reg_tokens=4,
        mlp_ratio=5.33334,
        mlp_layer=SwiGLUPacked,
        act_layer=torch.nn.SiLU,
        global_pool="",
        dynamic_img_size=True,
    ).eval()
    # Layer scale as initialised (1e-5) would make every block a no-op and hide errors.
    for block in network.blocks:
        block.ls1.gamma.data.fill_(0.5)
        block.ls2.gamma.data.fill_(0.5)
    folder = tmp_path_factory.mktemp("H0-mini")
    save_file(network.state_dict(), folder / "model.safetensors")
    return folder, network
