"""UNI (Chen et al. 2024) and UNI2-h, of the Mahmood Lab."""

from __future__ import annotations

from napari_pathfm.encoders._spec import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec

_CITATION = (
    "Chen et al., Towards a general-purpose foundation model for computational "
    "pathology, Nature Medicine 2024"
)
_NOTICE = "Academic and non-commercial use; weights may not be passed on."

UNI = EncoderSpec(
    name="uni",
    title="UNI",
    arguments={
        "patch_size": 16,
        "embed_dim": 1024,
        "depth": 24,
        "num_heads": 16,
        "init_values": 1e-5,
    },
    parameters=303_350_784,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=1,
    patch_px=16,
    dim=1024,
    precision="fp16, as TRIDENT runs it",
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="MahmoodLab/UNI",
    access_page="https://huggingface.co/MahmoodLab/UNI",
    weight_files=("pytorch_model.bin", "model.safetensors"),
    citation=_CITATION,
    notice=_NOTICE,
)

UNI2_H = EncoderSpec(
    name="uni2-h",
    title="UNI2-h",
    # The hub's config names a shape without registers: all of it has to be said.
    arguments={
        "patch_size": 14,
        "embed_dim": 1536,
        "depth": 24,
        "num_heads": 24,
        "mlp_ratio": 2.66667 * 2,
        "swiglu": True,
        "reg_tokens": 8,
        "no_embed_class": True,
        "init_values": 1e-5,
    },
    parameters=681_394_176,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=9,
    patch_px=14,
    dim=1536,
    precision="bf16, as TRIDENT runs it",
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="MahmoodLab/UNI2-h",
    access_page="https://huggingface.co/MahmoodLab/UNI2-h",
    weight_files=("pytorch_model.bin", "model.safetensors"),
    citation=_CITATION,
    notice=_NOTICE,
)
