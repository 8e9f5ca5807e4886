"""The generator that comes with the plugin: a small latent flow on the bundled CLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm import weights as weight_files
from napari_pathfm.generators._flow_generator import FlowGenerator
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

_FILES = ("autoencoder.safetensors", "denoiser.safetensors")


class _BundledSpec(GeneratorSpec):
    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this generator's; see `ModelSpec`."""
        import torch

        from napari_pathfm.generators._autoencoder import Autoencoder
        from napari_pathfm.generators._unet import UNet

        kinds = dict(zip(_FILES, (Autoencoder, UNet), strict=True))
        if path.name not in kinds:
            return False
        with torch.device("meta"):
            module = kinds[path.name]()
        weight_files.load_strict(module, tensors, model=self.title, path=path)
        return True


BUNDLED: GeneratorSpec = _BundledSpec(
    name="bundled",
    title="Bundled demonstration generator",
    encoder="bundled",
    condition_dim=192,
    tile_px=224,
    mpp=0.5,
    steps=25,
    guidance=1.5,
    guidance_interval=(0.0, 0.75),
    samplers=("heun", "euler", "dpm", "sde"),
    fast=("dpm", 12),
    licence="BSD-3-Clause",
    weight_files=(),
    bundled=_FILES,
    citation="docs/model-cards/bundled-generator.md",
    notice="A demonstration model: not for research or diagnosis.",
)


class BundledGenerator(FlowGenerator):
    """A U-Net on the latents of a small autoencoder.

    Parameters
    ----------
    weights : path, optional
        Folder with ``autoencoder.safetensors`` and ``denoiser.safetensors``; by default
        the ones in the package.
    device : str
        See `load_encoder`.
    """

    spec: GeneratorSpec = BUNDLED

    def __init__(self, weights: str | Path | None = None, device: str = "auto") -> None:
        import torch

        from napari_pathfm.encoders import choose_device
        from napari_pathfm.generators._autoencoder import (
            DOWNSAMPLE,
            LATENT_CHANNELS,
            Autoencoder,
        )
        from napari_pathfm.generators._flow import LatentFlow
        from napari_pathfm.generators._unet import UNet

        if weights is None:
            paths = [weight_files.bundled_path(name) for name in _FILES]
        else:
            paths = [
                weight_files.local_file(weights, (name,), BUNDLED.title)
                for name in _FILES
            ]
        there = choose_device(device)
        autoencoder, unet = Autoencoder(), UNet()
        for module, path in zip((autoencoder, unet), paths, strict=True):
            tensors = weight_files.read_tensors(path)
            weight_files.load_strict(module, tensors, model=BUNDLED.title, path=path)
            # Channels last: a fifth faster on a CPU (docs/performance.md).
            module.to(there).to(memory_format=torch.channels_last)
            module.eval().requires_grad_(False)
        origin = "bundled" if weights is None else "local"
        flow = LatentFlow(
            network=unet,
            encode=autoencoder.encode,
            decode=autoencoder.decode,
            channels=LATENT_CHANNELS,
            side=BUNDLED.tile_px // DOWNSAMPLE,
            downsample=DOWNSAMPLE,
            device=there,
        )
        super().__init__(BUNDLED, f"{origin}:{weight_files.digest(*paths)}", flow)
