"""H-optimus-0 and H-optimus-1, of Bioptimus: ViT-g/14 with four registers.

H-optimus-0's construction, normalisation and revision are those of its ``config.json``.
That H-optimus-1 has the same shape is what its authors say of it; its files could not
be seen where this was written, and the strict load is the judge.
"""

from __future__ import annotations

from typing import Any

from napari_pathfm.encoders._spec import HOPTIMUS_MEAN, HOPTIMUS_STD, EncoderSpec

_ARGUMENTS: dict[str, Any] = {
    "patch_size": 14,
    "embed_dim": 1536,
    "depth": 40,
    "num_heads": 24,
    "mlp_ratio": 2.66667 * 2,
    "swiglu": True,
    "reg_tokens": 4,
    "no_embed_class": True,
    "init_values": 1e-5,
}

H_OPTIMUS_0 = EncoderSpec(
    name="h-optimus-0",
    title="H-optimus-0",
    arguments=_ARGUMENTS,
    parameters=1_134_774_272,
    tile_px=224,
    mpp=0.5,
    mean=HOPTIMUS_MEAN,
    std=HOPTIMUS_STD,
    prefix_tokens=5,
    patch_px=14,
    dim=1536,
    precision="fp16 autocast, as its card shows",
    licence="Apache-2.0",
    gated=True,
    hub_repo="bioptimus/H-optimus-0",
    hub_revision="7bb31657b49434acc78732d9e2f393b846619393",
    access_page="https://huggingface.co/bioptimus/H-optimus-0",
    weight_files=("pytorch_model.bin", "model.safetensors"),
    citation="Saillard et al., H-optimus-0, 2024, github.com/bioptimus/releases",
)

H_OPTIMUS_1 = EncoderSpec(
    name="h-optimus-1",
    title="H-optimus-1",
    arguments=_ARGUMENTS,
    parameters=1_134_774_272,
    tile_px=224,
    mpp=0.5,
    mean=HOPTIMUS_MEAN,
    std=HOPTIMUS_STD,
    prefix_tokens=5,
    patch_px=14,
    dim=1536,
    precision="fp16 autocast, as H-optimus-0",
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="bioptimus/H-optimus-1",
    access_page="https://huggingface.co/bioptimus/H-optimus-1",
    weight_files=("model.safetensors", "pytorch_model.bin"),
    citation="Bioptimus, H-optimus-1, 2025, huggingface.co/bioptimus/H-optimus-1",
    notice="Academic and non-commercial use; weights may not be passed on.",
)
