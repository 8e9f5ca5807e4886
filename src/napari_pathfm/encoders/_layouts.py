"""Checkpoints that name their tensors as `transformers` does, under timm's names.

The names are those of transformers 4.x, which checkpoints on the hub have; 5.x renames
in memory only. Query, key and value are one matrix in timm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

#: How a checkpoint names its tensors.
Layout = Literal["timm", "transformers"]

_FIXED = {
    "embeddings.cls_token": "cls_token",
    "embeddings.position_embeddings": "pos_embed",
    "embeddings.patch_embeddings.projection.weight": "patch_embed.proj.weight",
    "embeddings.patch_embeddings.projection.bias": "patch_embed.proj.bias",
    "layernorm.weight": "norm.weight",
    "layernorm.bias": "norm.bias",
}

# Within a block; ViTModel's names and Dinov2Model's.
_PARTS = {
    "attention.output.dense": "attn.proj",
    "layernorm_before": "norm1",
    "layernorm_after": "norm2",
    "intermediate.dense": "mlp.fc1",
    "output.dense": "mlp.fc2",
    "norm1": "norm1",
    "norm2": "norm2",
    "mlp.fc1": "mlp.fc1",
    "mlp.fc2": "mlp.fc2",
}
_SCALES = {"layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma"}

_BLOCK = re.compile(r"encoder\.layer\.(\d+)\.(.+)")
_QKV = re.compile(r"attention\.attention\.(query|key|value)\.(weight|bias)")

# What masked-image training needed and nothing else does.
_UNUSED = frozenset({"embeddings.mask_token"})


def to_timm(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a ``ViTModel`` or ``Dinov2Model``.

    Names that neither has are kept, so that a strict load names them.

    Parameters
    ----------
    tensors : mapping of str to Tensor
        Perhaps on the meta device.
    """
    import torch

    renamed: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name in _UNUSED:
            continue
        block = _BLOCK.fullmatch(name)
        if block is None:
            renamed[_FIXED.get(name, name)] = tensor
            continue
        number, rest = block.groups()
        if qkv := _QKV.fullmatch(rest):
            which, kind = qkv.groups()
            parts.setdefault(f"blocks.{number}.attn.qkv.{kind}", {})[which] = tensor
            continue
        part, _, kind = rest.rpartition(".")
        own = _SCALES.get(rest) or (
            f"{_PARTS[part]}.{kind}" if part in _PARTS else None
        )
        renamed[f"blocks.{number}.{own}" if own else name] = tensor
    for name, three in parts.items():
        order = [three[which] for which in ("query", "key", "value") if which in three]
        # Fewer than three leave a matrix that is too small: the strict load says so.
        renamed[name] = torch.cat(order)
    return renamed
