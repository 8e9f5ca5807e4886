"""An autoencoder's weights in the names of CompVis, for diffusers' AutoencoderKL.

REPA-E keeps its autoencoder so, inside the training checkpoint.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

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
_STAGE = re.compile(r"encoder\.down_blocks\.(\d+)\.resnets\.(\d+)\.conv1\.weight")
_UP = re.compile(r"\bup\.(\d+)\.")


def build_vae(tensors: Mapping[str, Tensor], path: Path, *, groups: int = 32) -> Any:
    """Make the AutoencoderKL that tensors in either naming are of, strictly.

    Parameters
    ----------
    tensors : dict of Tensor
    path : Path
        For the message.
    groups : int
        Of the norms, which no shape tells; 32 in every published one.

    Raises
    ------
    WeightsError
        Naming the misfits.
    """
    from diffusers import AutoencoderKL

    if is_compvis(tensors):
        tensors = to_diffusers(tensors)
    stages = [m for m in map(_STAGE.match, tensors) if m]
    if not stages or "decoder.conv_in.weight" not in tensors:
        raise WeightsError(f"{path} holds no autoencoder that diffusers knows")
    widths = {int(m[1]): len(tensors[m[0]]) for m in stages if m[2] == "0"}
    network = AutoencoderKL(
        block_out_channels=tuple(widths[n] for n in sorted(widths)),
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        layers_per_block=len(stages) // len(widths),
        norm_num_groups=groups,
        latent_channels=tensors["decoder.conv_in.weight"].shape[1],
        use_quant_conv="quant_conv.weight" in tensors,
        use_post_quant_conv="post_quant_conv.weight" in tensors,
    )
    weight_files.load_strict(network, tensors, model="an AutoencoderKL", path=path)
    return network.eval().requires_grad_(False)


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
