"""What the catalogue states about an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.weights import ModelSpec, load_strict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

# Normalisation of H-optimus-0 and H0-mini, as the model card of the former and
# plism-benchmark state it.
HOPTIMUS_MEAN = (0.707223, 0.578729, 0.703617)
HOPTIMUS_STD = (0.211883, 0.230117, 0.177517)


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
        What stands for a tile in a store.
    """

    arguments: dict[str, Any] = field(repr=False)
    parameters: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prefix_tokens: int
    patch_px: int
    dim: int
    pooling: str = "cls"

    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this encoder's; see `ModelSpec`."""
        import torch

        from napari_pathfm.encoders._vit import build_vit

        with torch.device("meta"):
            network = build_vit(self)
        load_strict(network, tensors, model=self.title, path=path)
        return True
