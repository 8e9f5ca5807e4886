"""What the catalogue states about an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.encoders._layouts import to_timm
from napari_pathfm.weights import ModelSpec, load_strict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_pathfm.encoders._layouts import Layout

# Normalisation of H-optimus-0 and H0-mini, as the model card of the former and
# plism-benchmark state it.
HOPTIMUS_MEAN = (0.707223, 0.578729, 0.703617)
HOPTIMUS_STD = (0.211883, 0.230117, 0.177517)

# ImageNet's, which most others keep.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

#: What can stand for a tile: CLS, or CLS and the mean of the patch tokens after it.
POOLINGS = ("cls", "cls+mean")


@dataclass(frozen=True, kw_only=True)
class EncoderSpec(ModelSpec):
    """One encoder: how to build it, feed it and read it; see `ModelSpec` for the rest.

    Attributes
    ----------
    arguments : dict
        Construction of the vision transformer (`build_vit`).
    parameters : int
        Exact parameter count; weights with another are refused.
    mean, std : tuple of float
        Normalisation of RGB in 0..1.
    prefix_tokens : int
        CLS and registers before the patch tokens.
    patch_px, dim : int
        Side of a patch in pixels; length of a token.
    pooling : str
        What stands for a tile in a store unless another of `POOLINGS` is asked for.
    precision : str
        What its users run it in, for people.
    layout : {"timm", "transformers"}
        How its checkpoint names tensors.
    """

    arguments: dict[str, Any] = field(repr=False)
    parameters: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prefix_tokens: int
    patch_px: int
    dim: int
    pooling: str = "cls"
    precision: str = "fp32"
    layout: Layout = "timm"

    def tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Give a checkpoint's tensors under the names of `build_vit`."""
        return to_timm(tensors) if self.layout == "transformers" else tensors

    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this encoder's; see `ModelSpec`."""
        import torch

        from napari_pathfm.encoders._vit import build_vit

        with torch.device("meta"):
            network = build_vit(self)
        load_strict(network, self.tensors(tensors), model=self.title, path=path)
        return True
