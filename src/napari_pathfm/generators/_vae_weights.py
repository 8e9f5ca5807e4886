"""An autoencoder's weights in the names of CompVis, for diffusers' AutoencoderKL.

REPA-E keeps its autoencoder so, inside the training checkpoint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

_RULES = (
    (r"\bmid\.block_1\.", "mid_block.resnets.0."),
    (r"\bmid\.block_2\.", "mid_block.resnets.1."),
    (r"\bmid\.attn_1\.norm\.", "mid_block.attentions.0.group_norm."),
    (r"\bmid\.attn_1\.q\.", "mid_block.attentions.0.to_q."),
    (r"\bmid\.attn_1\.k\.", "mid_block.attentions.0.to_k."),
    (r"\bmid\.attn_1\.v\.", "mid_block.attentions.0.to_v."),
    (r"\bmid\.attn_1\.proj_out\.", "mid_block.attentions.0.to_out.0."),
    (r"\bdown\.(\d+)\.block\.(\d+)\.", r"down_blocks.\1.resnets.\2."),
    (r"\bdown\.(\d+)\.downsample\.", r"down_blocks.\1.downsamplers.0."),
    (r"\bup\.(\d+)\.block\.(\d+)\.", r"up_blocks.\1.resnets.\2."),
    (r"\bup\.(\d+)\.upsample\.", r"up_blocks.\1.upsamplers.0."),
    (r"\bnin_shortcut\.", "conv_shortcut."),
    (r"\bnorm_out\.", "conv_norm_out."),
)
_UP = re.compile(r"\bup\.(\d+)\.")


def is_compvis(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are CompVis's."""
    return any(name.startswith("encoder.down.") for name in tensors)


def to_diffusers(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename an autoencoder's tensors; what is named otherwise is left as it is.

    Two things differ besides names: the decoder's stages are counted from the other
    end, and the attention's 1 x 1 convolutions are linear maps.
    """
    stages = [int(m[1]) for m in map(_UP.search, tensors) if m]
    last = max(stages, default=0)
    renamed = {}
    for name, tensor in tensors.items():
        name = _UP.sub(lambda m: f"up.{last - int(m[1])}.", name)
        for pattern, by in _RULES:
            name = re.sub(pattern, by, name)
        if ".attentions." in name and tensor.ndim == 4:
            tensor = tensor[:, :, 0, 0]
        renamed[name] = tensor
    return renamed
