"""The ViT that a run trains: built, seen through masks, written for the catalogue."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from napari_pathfm.encoders import EncoderSpec
from napari_pathfm.encoders._vit import build_vit
from napari_pathfm.training._checkpoint import write_tensors, write_text
from napari_pathfm.training._config import AtLeast, Between

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True)
class Model:
    """``[model]``: the student, which becomes an encoder.

    Attributes
    ----------
    name, title, licence : str
        Of the encoder's description, which is written beside its weights.
    patch_px, dim, depth, heads : int
        Of the vision transformer.
    mlp_ratio : float
        Width of the feed-forward part, in ``dim``.
    swiglu : bool
        Packed SwiGLU rather than GELU.
    projected : bool
        Whether the encoder has the linear layers behind its final norm, one for CLS and
        one for patches, that said the teacher's features: cosines of tokens, which maps
        show, are then of what was learnt. The losses are of the tokens before them.
    steady_axes : int
        With it, the layer of patches says so many axes of what was learnt, those that a
        patch's surroundings change least (`_steady`); 0 for all as they are.
    registers : int
        Tokens beside CLS; with them, the position embedding is the patches' alone.
    layer_scale : float
        Where the gains of the residual branches start.
    drop_path : float
        How often a residual branch is left out in training.
    mean, std : (float, float, float)
        Normalisation of RGB in 0..1.
    """

    name: str
    patch_px: Annotated[int, AtLeast(1)]
    dim: Annotated[int, AtLeast(1)]
    depth: Annotated[int, AtLeast(1)]
    heads: Annotated[int, AtLeast(1)]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    title: str = ""
    licence: str = "not stated"
    mlp_ratio: Annotated[float, AtLeast(0.1)] = 4.0
    swiglu: bool = False
    projected: bool = False
    steady_axes: Annotated[int, AtLeast(0)] = 0
    registers: Annotated[int, AtLeast(0)] = 0
    layer_scale: Annotated[float, AtLeast(1e-9)] = 1e-5
    drop_path: Annotated[float, Between(0, 0.9)] = 0.0

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.dim % self.heads:
            return f"heads: {self.dim} is no multiple of {self.heads}"
        return None

    def arguments(self) -> dict[str, Any]:
        """Construction, in the words of an encoder's description."""
        return {
            "patch_size": self.patch_px,
            "embed_dim": self.dim,
            "depth": self.depth,
            "num_heads": self.heads,
            "mlp_ratio": self.mlp_ratio,
            "swiglu": self.swiglu,
            **({"projected": True} if self.projected else {}),
            "reg_tokens": self.registers,
            "no_embed_class": self.registers > 0,
            "init_values": self.layer_scale,
        }


class Student(nn.Module):
    """A vision transformer with a token for patches it is not shown.

    Parameters
    ----------
    model : Model
        Its shape.
    px : int
        Side whose grid the position embedding has.
    checkpointing : bool
        Compute blocks again on the way back.
    """

    def __init__(self, model: Model, px: int, *, checkpointing: bool = False) -> None:
        super().__init__()
        self._prefix = 1 + model.registers
        self._checkpointing = checkpointing
        arguments = {**model.arguments(), "drop_path_rate": model.drop_path}
        arguments.pop("projected", None)  # they are another part of what is trained
        self.vit: Any = build_vit(_spec(model, px, arguments))
        self.mask_token = nn.Parameter(torch.zeros(model.dim))
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(model.mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(model.std).view(1, 3, 1, 1))

    def forward(
        self,
        images: Tensor,
        hidden: Tensor | None = None,
        kept: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Look at images.

        Parameters
        ----------
        images : Tensor
            ``(n, 3, px, px)`` in 0..1; px is a multiple of the patch.
        hidden : Tensor, optional
            bool ``(n, t)``: patches that the mask token stands for.
        kept : Tensor, optional
            Which patches, the same of all images; the rest is left out.

        Returns
        -------
        cls, patches : Tensor
            ``(n, D)`` and ``(n, t, D)``, after the final norm; of the patches those
            that were kept.
        """
        vit = self.vit
        tokens = vit.patch_embed((images - self.mean) / self.std)  # (n, h, w, D)
        if hidden is not None:
            where = hidden.view(*tokens.shape[:3], 1)
            tokens = torch.where(where, self.mask_token.to(tokens.dtype), tokens)
        tokens = vit._pos_embed(tokens)
        if kept is not None:
            first, rest = tokens[:, : self._prefix], tokens[:, self._prefix :]
            tokens = torch.cat([first, rest[:, kept]], 1)
        tokens = vit.norm_pre(vit.patch_drop(tokens))
        for block in vit.blocks:
            if self._checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        tokens = vit.norm(tokens)
        return tokens[:, 0], tokens[:, self._prefix :]


def _spec(model: Model, px: int, arguments: dict[str, Any]) -> EncoderSpec:
    return EncoderSpec(
        name=model.name,
        title=model.title or model.name,
        arguments=arguments,
        parameters=None,
        tile_px=px,
        mpp=0.5,
        mean=model.mean,
        std=model.std,
        prefix_tokens=1 + model.registers,
        patch_px=model.patch_px,
        dim=model.dim,
        licence=model.licence,
    )


def write_encoder(
    student: Student,
    model: Model,
    folder: Path,
    provenance: Mapping[str, Any],
    *,
    px: int,
    mpp: float,
    layers: Mapping[str, nn.Linear] | None = None,
) -> None:
    """Write ``encoder.safetensors`` and the ``encoder.toml`` that describes it.

    ``load_encoder(folder / "encoder.toml")`` loads it.
    """
    import json

    tensors = student.vit.state_dict()
    if layers is not None:
        tensors = _projected(tensors, layers, model.dim)
    write_tensors(folder / "encoder.safetensors", tensors, provenance)
    count = sum(value.numel() for value in tensors.values())
    told = {
        "name": model.name,
        "title": model.title or model.name,
        "weights": "encoder.safetensors",
        "parameters": count,
        "tile_px": px,
        "mpp": mpp,
        "mean": list(model.mean),
        "std": list(model.std),
        "licence": model.licence,
    }
    # JSON's texts, numbers, truths and lists are TOML's.
    lines = [f"{key} = {json.dumps(value)}" for key, value in told.items()]
    inner = [f"{key} = {json.dumps(v)}" for key, v in model.arguments().items()]
    text = "\n".join([*lines, "", "[arguments]", *inner, ""])
    write_text(folder / "encoder.toml", text)


def _projected(
    tensors: Mapping[str, Tensor], layers: Mapping[str, nn.Linear], dim: int
) -> dict[str, Tensor]:
    """Put layers behind the final norm, with zeros where they say less than `dim`."""
    made = {re.sub(r"^norm\.", "norm.0.", key): v for key, v in tensors.items()}
    for name, layer in layers.items():
        missing = dim - layer.out_features
        weight, bias = layer.weight.detach(), layer.bias.detach()
        made[f"norm.1.{name}.weight"] = F.pad(weight, (0, 0, 0, missing))
        made[f"norm.1.{name}.bias"] = F.pad(bias, (0, missing))
    return made
