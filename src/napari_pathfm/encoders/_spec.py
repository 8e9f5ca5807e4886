"""What the catalogue states about an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_pathfm.encoders._layouts import to_timm
from napari_pathfm.errors import WeightsError
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
    architecture : str or None
        Name of an architecture of timm's, which the arguments then change; else the
        arguments are all there is.
    parameters : int or None
        Exact parameter count; weights with another are refused. Only a person's own
        file may leave it out.
    position_px : int or None
        Side in pixels whose grid the position embedding in the weights has, where it
        is not ``tile_px``.
    ignore : tuple of str
        Tensors of the checkpoint that the encoder has no use for, such as a
        classifier's.
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
    source : Path or None
        The file that a person wrote it in (`read_encoder_spec`).
    digest : str or None
        Of such a file: first 12 hex digits of the SHA-256 of what decides the features.
    """

    arguments: dict[str, Any] = field(repr=False)
    architecture: str | None = None
    parameters: int | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prefix_tokens: int
    patch_px: int
    dim: int
    pooling: str = "cls"
    precision: str = "fp32"
    layout: Layout = "timm"
    position_px: int | None = None
    ignore: tuple[str, ...] = ()
    source: Path | None = None
    digest: str | None = None

    def tensors(self, tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Give a checkpoint's tensors under the names of `build_vit`.

        Raises
        ------
        WeightsError
            If a tensor that is to be ignored is not there.
        """
        for name in self.ignore:
            if name not in tensors:
                raise WeightsError(
                    f"the weights of {self.title} have no tensor {name!r}: take it out "
                    f"of `ignore` in {self.source or 'the spec'}"
                )
        kept = {k: v for k, v in tensors.items() if k not in self.ignore}
        return to_timm(kept) if self.layout == "transformers" else kept

    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this encoder's; see `ModelSpec`."""
        import torch

        from napari_pathfm.encoders._vit import build_vit

        with torch.device("meta"):
            network = build_vit(self)
        load_strict(network, self.tensors(tensors), model=self.title, path=path)
        return True
