"""Virchow2 (Zimmermann et al. 2024), of Paige: ViT-H/14 with four registers.

A tile is CLS and the mean of its patch tokens, 2,560 numbers, as plism-benchmark takes
it. The position embedding covers the prefix tokens too.
"""

from __future__ import annotations

from napari_pathfm.encoders._spec import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec

VIRCHOW2 = EncoderSpec(
    name="virchow2",
    title="Virchow2",
    arguments={
        "patch_size": 14,
        "embed_dim": 1280,
        "depth": 32,
        "num_heads": 16,
        "mlp_ratio": 5.3375,
        "swiglu": True,
        "reg_tokens": 4,
        "init_values": 1e-5,
    },
    parameters=631_239_424,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=5,
    patch_px=14,
    dim=1280,
    pooling="cls+mean",
    precision="fp16, as TRIDENT runs it",
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="paige-ai/Virchow2",
    access_page="https://huggingface.co/paige-ai/Virchow2",
    weight_files=("model.safetensors", "pytorch_model.bin"),
    citation="Zimmermann et al., Virchow2, arXiv:2408.00738",
    notice="Academic and non-commercial use; weights may not be passed on.",
)
