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
