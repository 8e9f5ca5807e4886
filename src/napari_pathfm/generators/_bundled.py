"""The generator that comes with the plugin: a small latent flow on the bundled CLS."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.generators._make import Glimpses, make_images
from napari_pathfm.generators._settings import settle
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._generator import OnStep
    from napari_pathfm.generators._image import SyntheticImage
    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._settings import Settings

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


class BundledGenerator:
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
        from napari_pathfm.generators._autoencoder import Autoencoder
        from napari_pathfm.generators._unet import UNet

        if weights is None:
            paths = [weight_files.bundled_path(name) for name in _FILES]
        else:
            paths = [
                weight_files.local_file(weights, (name,), BUNDLED.title)
                for name in _FILES
            ]
        self._device = choose_device(device)
        self._autoencoder, self._unet = Autoencoder(), UNet()
        for module, path in zip((self._autoencoder, self._unet), paths, strict=True):
            tensors = weight_files.read_tensors(path)
            weight_files.load_strict(module, tensors, model=BUNDLED.title, path=path)
            # Channels last: a fifth faster on a CPU (docs/performance.md).
            module.to(self._device).to(memory_format=torch.channels_last)
            module.eval().requires_grad_(False)
        origin = "bundled" if weights is None else "local"
        self.revision = f"{origin}:{weight_files.digest(*paths)}"

    def generate(
        self,
        condition: NDArray[np.float32] | None,
        *,
        n: int = 1,
        seed: int = 0,
        steps: int | None = None,
        guidance: float | None = None,
        sampler: str | None = None,
        preset: str | None = None,
        on_step: OnStep | None = None,
    ) -> list[SyntheticImage]:
        """Generate tiles; see `Generator.generate`."""
        settings = settle(
            BUNDLED,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            preset=preset,
            conditional=condition is not None,
        )
        return make_images(
            BUNDLED,
            self.revision,
            condition,
            n=n,
            seed=seed,
            settings=settings,
            draw=partial(self._draw, watched=on_step is not None),
            on_step=on_step,
        )

    def flow(self, on_step: OnStep | None = None) -> LatentFlow:
        """Give the network and the autoencoder; see `Generator.flow`."""
        from napari_pathfm.generators._autoencoder import DOWNSAMPLE, LATENT_CHANNELS
        from napari_pathfm.generators._flow import LatentFlow

        return LatentFlow(
            network=self._unet,
            encode=self._autoencoder.encode,
            decode=self._autoencoder.decode,
            channels=LATENT_CHANNELS,
            side=BUNDLED.tile_px // DOWNSAMPLE,
            downsample=DOWNSAMPLE,
            device=self._device,
        )

    def _draw(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        settings: Settings,
        report: Report,
        *,
        watched: bool,
    ) -> NDArray[np.uint8]:
        import torch

        from napari_pathfm.generators._autoencoder import DOWNSAMPLE, LATENT_CHANNELS
        from napari_pathfm.generators._sampling import sample

        side = BUNDLED.tile_px // DOWNSAMPLE
        told = None
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            told = told.to(self._device)
        glimpses = Glimpses(settings.steps)

        def after_pass(done: int, estimate: torch.Tensor) -> None:
            due = watched and glimpses.due(done)
            report(done, self._decode(estimate) if due else None)

        with torch.inference_mode():
            latents = sample(
                self._unet,
                told,
                (LATENT_CHANNELS, side, side),
                seed,
                settings,
                device=self._device,
                after_pass=after_pass,
            )
            return self._decode(latents)

    def _decode(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        from napari_pathfm.generators._autoencoder import to_uint8

        pixels: NDArray[np.uint8] = (
            to_uint8(self._autoencoder.decode(latents.float()))[0].cpu().numpy()
        )
        return pixels
