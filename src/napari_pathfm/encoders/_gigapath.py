"""Prov-GigaPath's tile encoder (Xu et al. 2024): ViT-g/16 without registers.

Its own pipeline resizes tiles of 256 px and crops 224 from their middle; here a tile
is 224 px at 0.5 um, which is the same field without its border.
"""

from __future__ import annotations

from napari_pathfm.encoders._spec import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec

GIGAPATH = EncoderSpec(
    name="gigapath",
    title="Prov-GigaPath tile encoder",
    arguments={
        "patch_size": 16,
        "embed_dim": 1536,
        "depth": 40,
        "num_heads": 24,
        "mlp_ratio": 2.66667 * 2,
        "swiglu": True,
        "init_values": 1e-5,
    },
    parameters=1_134_953_984,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=1,
    patch_px=16,
    dim=1536,
    precision="fp16, as TRIDENT runs it",
    licence="Apache-2.0 with conditions",
    gated=True,
    hub_repo="prov-gigapath/prov-gigapath",
    access_page="https://huggingface.co/prov-gigapath/prov-gigapath",
    weight_files=("pytorch_model.bin", "model.safetensors"),
    citation="Xu et al., A whole-slide foundation model for digital pathology from "
    "real-world data, Nature 2024",
    notice="Research use; see the conditions on its page.",
)
