"""Vision transformers, built from a spec by timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timm.models import VisionTransformer

    from napari_pathfm.encoders._spec import EncoderSpec


def build_vit(spec: EncoderSpec) -> VisionTransformer:
    """Build the network of a spec with random weights.

    The feed-forward part is the packed SwiGLU of DINOv2, with the position embedding on
    patches only and register tokens after CLS, as H0-mini has it; ``arguments`` of the
    spec says the rest. The output is every token, ``(N, prefix + h * w, D)``.
    """
    from timm.layers.mlp import SwiGLUPacked
    from timm.models import VisionTransformer
    from torch import nn

    # timm takes any callable; its annotation asks for a class.
    mlp: Any = SwiGLUPacked

    return VisionTransformer(
        img_size=spec.tile_px,
        num_classes=0,
        global_pool="",
        dynamic_img_size=True,
        no_embed_class=True,
        mlp_layer=mlp,
        act_layer=nn.SiLU,
        **spec.arguments,
    )
