"""A generator's inside, for work that needs more than whole tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

    from napari_pathfm.generators._sampling import Network
    from napari_pathfm.generators._spec import GeneratorSpec


@dataclass(frozen=True, eq=False)
class LatentFlow:
    """The flow on latents, and the autoencoder around it.

    Attributes
    ----------
    network : callable
        See `Network`; sees latents of one tile's size.
    encode, decode : callable
        Images ``(N, 3, H, W)`` in -1..1 to latents as the network sees them, and back.
    channels : int
        Of the latents.
    side : int
        Of one tile's latents.
    downsample : int
        Pixels per latent cell, along each side.
    device : torch.device
    engine : str
        For the provenance.
    precision : str
        Of the network's arithmetic.
    """

    network: Network
    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    channels: int
    side: int
    downsample: int
    device: torch.device
    engine: str = ""
    precision: str = "fp32"


def whole_tiles_only(spec: GeneratorSpec, reason: str) -> PathfmError:
    """Give the error of a generator whose inside cannot be had."""
    return PathfmError(
        f"{spec.title} makes whole tiles only ({reason}): repairs and areas need "
        "another generator, such as bundled"
    )
