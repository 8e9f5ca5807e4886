"""The networks of a generator in a folder, from what it says and its tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from napari_pathfm import weights as weight_files
from napari_pathfm.encoders import choose_device
from napari_pathfm.errors import SpecError
from napari_pathfm.generators._autoencoder import (
    DOWNSAMPLE,
    LATENT_CHANNELS,
    Autoencoder,
)
from napari_pathfm.generators._flow import LatentFlow
from napari_pathfm.generators._native import NativeSiT
from napari_pathfm.generators._sit_weights import build_sit
from napari_pathfm.generators._unet import UNet
from napari_pathfm.generators._vae_weights import build_vae

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from napari_pathfm.generators._folder import FolderSpec


def flow_of(
    spec: FolderSpec, autoencoder: Path, denoiser: Path, device: str
) -> LatentFlow:
    """Load both parts and put them together; see `FolderGenerator`."""
    there = choose_device(device)
    first = autoencoder_of(spec, weight_files.read_tensors(autoencoder), autoencoder)
    second = denoiser_of(spec, weight_files.read_tensors(denoiser), denoiser)
    for module in (first, second):
        module.to(there).to(memory_format=torch.channels_last)
        module.eval().requires_grad_(False)
    if spec.autoencoder["kind"] == "kl":
        flow = NativeSiT(second, first).flow("")
    else:
        flow = LatentFlow(
            network=_sit_network(second) if spec.denoiser["kind"] == "sit" else second,
            encode=first.encode,
            decode=first.decode,
            channels=LATENT_CHANNELS,
            side=spec.tile_px // DOWNSAMPLE,
            downsample=DOWNSAMPLE,
            device=there,
        )
    if flow.side * flow.downsample != spec.tile_px:
        raise SpecError(
            f"{spec.folder}: tile_px: the denoiser makes {flow.side * flow.downsample}"
        )
    return flow


def autoencoder_of(spec: FolderSpec, tensors: Mapping[str, Tensor], path: Path) -> Any:
    """Make the autoencoder that the tensors have to be of, strictly."""
    told = spec.autoencoder
    if told["kind"] == "kl":
        if spec.denoiser["kind"] != "sit":
            raise SpecError(f"{spec.folder}: an autoencoder of kind kl needs a SiT")
        return build_vae(tensors, path, groups=told["groups"])
    module = Autoencoder(tuple(told["widths"]))
    weight_files.load_strict(module, tensors, model=spec.title, path=path)
    return module


def denoiser_of(spec: FolderSpec, tensors: Mapping[str, Tensor], path: Path) -> Any:
    """Make the denoiser that the tensors have to be of, strictly."""
    told = spec.denoiser
    if told["kind"] == "sit":
        sit = build_sit(tensors, path, heads=told["heads"])
        if sit.config.condition_dim != spec.condition_dim:
            raise SpecError(
                f"{spec.folder}: condition_dim: the denoiser is told "
                f"{sit.config.condition_dim} numbers"
            )
        return sit
    unet = UNet(condition_dim=spec.condition_dim, widths=tuple(told["widths"]))
    weight_files.load_strict(unet, tensors, model=spec.title, path=path)
    return unet


def _sit_network(sit: Any) -> Any:
    def velocity(
        x: Tensor, t: Tensor, condition: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        found: Tensor = sit(x, t, condition, drop, return_dict=False)[0]
        return found

    return velocity
