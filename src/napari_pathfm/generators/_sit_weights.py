"""SiT weights as REPA-E publishes them: their shapes say which network they are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_pathfm.generators._sit import SiTTransformer2DModel

# Heads of SiT-S, -B, -L and -XL by width; no tensor's shape tells them.
_HEADS = {384: 6, 768: 12, 1024: 16, 1152: 16}
_BLOCK = re.compile(r"blocks\.(\d+)\.")
_PROJECTOR = re.compile(r"projectors\.(\d+)\.4\.weight")


def looks_like_sit(tensors: Mapping[str, Tensor]) -> bool:
    """Whether the names are those of a SiT at all."""
    wanted = ("pos_embed", "x_embedder.proj.weight", "blocks.0.attn.qkv.weight")
    return all(name in tensors for name in wanted)


def sit_config(
    tensors: Mapping[str, Tensor], *, heads: int | None = None
) -> dict[str, Any]:
    """Read a network's configuration off the shapes of its tensors.

    Parameters
    ----------
    tensors : dict of Tensor
        With the names that `canonical` gives; may be on the meta device.
    heads : int, optional
        Attention heads; by default those of the published SiT of that width.

    Raises
    ------
    WeightsError
        If they are no SiT's.
    """
    if not looks_like_sit(tensors):
        raise WeightsError("the tensors are not those of a SiT: no blocks.0.attn.qkv")
    width, channels, patch, _ = tensors["x_embedder.proj.weight"].shape
    heads = _HEADS.get(width) if heads is None else heads
    if heads is None or width % heads:
        raise WeightsError(
            f"a SiT of width {width} has an unknown number of attention heads: "
            "its config.json has to state num_attention_heads"
        )
    side = round(tensors["pos_embed"].shape[1] ** 0.5)
    found = [int(m[1]) for m in map(_BLOCK.match, tensors) if m]
    table = tensors.get("y_embedder.embedding_table.weight")
    linear = tensors.get("y_embedder.proj.weight")
    null = tensors.get("y_embedder.null")
    projectors = sorted(
        (int(m[1]), len(tensors[m[0]])) for m in map(_PROJECTOR.match, tensors) if m
    )
    first = tensors.get("projectors.0.0.weight")
    fc1 = tensors.get("blocks.0.mlp.fc1.weight")
    if (table is None) == (linear is None) or fc1 is None:
        raise WeightsError("the SiT has no condition embedder or no MLP that is known")
    return {
        "sample_size": side * patch,
        "patch_size": patch,
        "in_channels": channels,
        "num_layers": max(found) + 1,
        "num_attention_heads": heads,
        "attention_head_dim": width // heads,
        "mlp_ratio": len(fc1) / width,
        "num_classes": None if table is None else len(table) - 1,
        "condition_dim": None if linear is None else linear.shape[1],
        "null_dim": None if null is None else len(null),
        "projector_dims": tuple(dim for _, dim in projectors),
        "projector_width": 2048 if first is None else len(first),
        "latent_statistics": "bn.running_mean" in tensors,
    }


def canonical(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Give the parts of a feature condition's embedder the names that `_sit` has.

    REPA-E has a table of classes. How a feature enters is not published, so the parts
    are told by their shapes: one matrix, its bias, and at most one vector for no
    condition. Everything else keeps its name.

    Raises
    ------
    WeightsError
        If the parts cannot be told.
    """
    prefix = "y_embedder."
    own = {k: v for k, v in tensors.items() if k.startswith(prefix)}
    rest = {k: v for k, v in tensors.items() if not k.startswith(prefix)}
    if not own or f"{prefix}embedding_table.weight" in own:
        return dict(tensors)
    matrices = [k for k, v in own.items() if v.ndim == 2 and min(v.shape) > 1]
    biases = [k for k in own if k.endswith(".bias")]
    nulls = [k for k in own if k not in matrices and k not in biases]
    if len(matrices) != 1 or len(biases) != 1 or len(nulls) > 1:
        raise WeightsError(
            "the SiT's condition embedder is no single linear map: "
            f"{', '.join(f'{k} {tuple(v.shape)}' for k, v in own.items())}"
        )
    named = {
        f"{prefix}proj.weight": own[matrices[0]],
        f"{prefix}proj.bias": own[biases[0]],
    }
    if nulls:
        named[f"{prefix}null"] = own[nulls[0]].flatten()
    return {**rest, **named}


def load_sit(
    path: Path,
    *,
    heads: int | None = None,
    projectors: bool = False,
    dtype: torch.dtype = torch.float32,
) -> SiTTransformer2DModel:
    """Load a SiT strictly.

    Parameters
    ----------
    path : Path
        safetensors, or a training checkpoint of REPA-E, whose moving average is taken.
    heads : int, optional
        See `sit_config`.
    projectors : bool
        Whether to keep the heads that only training uses.
    dtype : torch.dtype
        Of the network; the latents' statistics stay in single precision.

    Raises
    ------
    WeightsError
        Naming the misfits.
    """
    return build_sit(
        checkpoint_part(weight_files.read_tensors(path), "ema", "model"),
        path,
        heads=heads,
        projectors=projectors,
        dtype=dtype,
    )


def build_sit(
    tensors: Mapping[str, Tensor],
    path: Path,
    *,
    heads: int | None = None,
    projectors: bool = False,
    dtype: torch.dtype = torch.float32,
) -> SiTTransformer2DModel:
    """Make the network that the tensors are of; see `load_sit`."""
    from napari_pathfm.generators._sit import SiTTransformer2DModel

    tensors = canonical(tensors)
    if not projectors:
        tensors = {k: v for k, v in tensors.items() if not k.startswith("projectors.")}
    config = sit_config(tensors, heads=heads)
    with torch.device("meta"):
        network: SiTTransformer2DModel = SiTTransformer2DModel(**config)
    weight_files.load_strict(network, tensors, model="a SiT", path=path)
    # Straight to the modules: `ModelMixin.to` would say that it is in half precision.
    for name, part in network.named_children():
        if name != "bn":
            part.to(dtype)
    network.pos_embed.data = network.pos_embed.data.to(dtype)
    network.eval().requires_grad_(False)
    return network


def checkpoint_part(found: Mapping[str, Any], *names: str) -> dict[str, Tensor]:
    """Take a state dict out of a training checkpoint, the first of `names` it has.

    What is a state dict already is given back.

    Raises
    ------
    WeightsError
        If it is neither.
    """
    for name in names:
        if isinstance(found.get(name), dict):
            return dict(found[name])
    if found and all(isinstance(v, torch.Tensor) for v in found.values()):
        return dict(found)
    raise WeightsError(
        f"the checkpoint holds none of {', '.join(names)}, but {', '.join(found)}"
    )
