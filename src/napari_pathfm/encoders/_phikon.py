"""Phikon (Filiot et al. 2023) and Phikon-v2 (Filiot et al. 2024), of Owkin.

Published in the layout of transformers: ``ViTModel`` and ``Dinov2Model``. Sizes and
normalisation as public users of the models state them; `tests/encoders` checks both
against transformers' own classes.
"""

from __future__ import annotations

from napari_pathfm.encoders._spec import IMAGENET_MEAN, IMAGENET_STD, EncoderSpec

_LICENCE = "Owkin non-commercial"
_NOTICE = "Non-commercial use only, by Owkin's licence."

PHIKON = EncoderSpec(
    name="phikon",
    title="Phikon",
    layout="transformers",
    arguments={"patch_size": 16, "embed_dim": 768, "depth": 12, "num_heads": 12},
    parameters=85_798_656,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=1,
    patch_px=16,
    dim=768,
    precision="fp32, as TRIDENT runs it",
    licence=_LICENCE,
    hub_repo="owkin/phikon",
    access_page="https://huggingface.co/owkin/phikon",
    weight_files=("model.safetensors",),
    citation="Filiot et al., Scaling self-supervised learning for histopathology with "
    "masked image modeling, medRxiv 2023.07.21.23292757",
    notice=_NOTICE,
)

PHIKON_V2 = EncoderSpec(
    name="phikon-v2",
    title="Phikon-v2",
    layout="transformers",
    arguments={
        "patch_size": 16,
        "embed_dim": 1024,
        "depth": 24,
        "num_heads": 16,
        "init_values": 1e-5,
    },
    # The checkpoint has 1,024 more: the mask token, which only training used.
    parameters=303_350_784,
    tile_px=224,
    mpp=0.5,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
    prefix_tokens=1,
    patch_px=16,
    dim=1024,
    precision="fp32, as TRIDENT and HEST run it",
    licence=_LICENCE,
    hub_repo="owkin/phikon-v2",
    access_page="https://huggingface.co/owkin/phikon-v2",
    weight_files=("model.safetensors",),
    citation="Filiot et al., Phikon-v2, a large and public feature extractor for "
    "biomarker prediction, arXiv:2409.09173",
    notice=_NOTICE,
)
