"""Vision transformers, built from a spec by timm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from timm.models import VisionTransformer

    from napari_pathfm.encoders._spec import EncoderSpec


def build_vit(spec: EncoderSpec) -> VisionTransformer:
    """Build the network of a spec with random weights.

    ``arguments`` of the spec are timm's own, and ``swiglu``: whether the feed-forward
    part is the packed SwiGLU of DINOv2's large models, whose first half passes the
    SiLU, rather than a plain one with GELU. Sides may be any multiple of the patch.

    Returns
    -------
    VisionTransformer
        Its output is every token after the final norm, ``(N, prefix + h * w, D)``.
    """
    from timm.layers.mlp import SwiGLUPacked
    from timm.models import VisionTransformer
    from torch import nn

    arguments = dict(spec.arguments)
    feed_forward: dict[str, Any] = (
        {"mlp_layer": SwiGLUPacked, "act_layer": nn.SiLU}
        if arguments.pop("swiglu", False)
        else {}
    )
    return VisionTransformer(
        img_size=spec.tile_px,
        num_classes=0,
        global_pool="",
        dynamic_img_size=True,
        **feed_forward,
        **arguments,
    )
