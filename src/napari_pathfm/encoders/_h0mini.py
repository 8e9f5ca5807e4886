"""H0-mini (Filiot et al. 2025): a ViT-B/14 distilled from H-optimus-0.

Construction, normalisation and revision as public users of the model state them and as
`tests/encoders` checks against timm's own registered architecture.
"""

from __future__ import annotations

from napari_pathfm.encoders._spec import HOPTIMUS_MEAN, HOPTIMUS_STD, EncoderSpec

H0_MINI = EncoderSpec(
    name="h0-mini",
    title="H0-mini",
    arguments={
        "patch_size": 14,
        "embed_dim": 768,
        "depth": 12,
        "num_heads": 12,
        # timm's default of 4 gives 71.6 M parameters and wrong shapes; the hub's config
        # supplies this figure, an offline build must.
        "mlp_ratio": 5.33334,
        "swiglu": True,
        "reg_tokens": 4,
        "no_embed_class": True,
        "init_values": 1e-5,
    },
    parameters=85_739_520,
    tile_px=224,
    mpp=0.5,
    mean=HOPTIMUS_MEAN,
    std=HOPTIMUS_STD,
    prefix_tokens=5,
    patch_px=14,
    dim=768,
    precision="fp16 autocast, as its card shows",
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="bioptimus/H0-mini",
    hub_revision="5b5cc0505d19ae558270045eb0df8c34df4d9609",
    access_page="https://huggingface.co/bioptimus/H0-mini",
    citation="Filiot et al., Distilling foundation models for robust and efficient "
    "models in digital pathology, arXiv:2501.16239",
    notice="Academic and non-commercial use; weights may not be passed on.",
)
