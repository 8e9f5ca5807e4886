"""The encoder that comes with the plugin: H0-mini's shape, made small."""

from __future__ import annotations

from napari_pathfm.encoders._spec import HOPTIMUS_MEAN, HOPTIMUS_STD, EncoderSpec

BUNDLED = EncoderSpec(
    name="bundled",
    title="Bundled demonstration encoder",
    arguments={
        "patch_size": 14,
        "embed_dim": 192,
        "depth": 6,
        "num_heads": 3,
        "mlp_ratio": 5.33334,
        "swiglu": True,
        "reg_tokens": 4,
        "no_embed_class": True,
        "init_values": 0.1,
        "projected": True,
    },
    parameters=2_910_720,
    tile_px=224,
    mpp=0.5,
    mean=HOPTIMUS_MEAN,
    std=HOPTIMUS_STD,
    prefix_tokens=5,
    patch_px=14,
    dim=192,
    licence="BSD-3-Clause",
    bundled=("encoder.safetensors",),
    citation="docs/model-cards/bundled-encoder.md",
    notice="A demonstration model: not for research or diagnosis.",
)
