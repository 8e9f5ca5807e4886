"""What the catalogue states about an encoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

# Normalisation of H-optimus-0 and H0-mini, as the model card of the former and
# plism-benchmark state it.
HOPTIMUS_MEAN = (0.707223, 0.578729, 0.703617)
HOPTIMUS_STD = (0.211883, 0.230117, 0.177517)


@dataclass(frozen=True)
class EncoderSpec:
    """One encoder: how to build it, feed it, read it, and what its licence allows.

    Attributes
    ----------
    name : str
        Name in the catalogue, on the command line and in stores.
    title : str
        Name for people.
    arguments : dict
        Construction of the vision transformer (`build_vit`).
    parameters : int
        Exact parameter count; weights with another are refused.
    tile_px, mpp : int, float
        Side of a tile in pixels and the micrometres per pixel it was trained at.
    mean, std : tuple of float
        Normalisation of RGB in 0..1.
    prefix_tokens : int
        CLS and registers before the patch tokens.
    patch_px, dim : int
        Side of a patch in pixels; length of a token.
    licence : str
        Short name of the weights' licence.
    gated : bool
        Whether the hub asks for permission first.
    hub_repo, hub_revision : str or None
        Where the published weights are, and the commit that was checked.
    access_page : str or None
        Where a person asks for permission.
    citation : str
        The paper.
    notice : str
        What must be said wherever the encoder is offered.
    """

    name: str
    title: str
    arguments: dict[str, Any] = field(repr=False)
    parameters: int
    tile_px: int
    mpp: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    prefix_tokens: int
    patch_px: int
    dim: int
    licence: str
    gated: bool = False
    hub_repo: str | None = None
    hub_revision: str | None = None
    access_page: str | None = None
    citation: str = ""
    notice: str = ""
    pooling: str = "cls"
