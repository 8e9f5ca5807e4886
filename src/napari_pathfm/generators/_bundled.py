"""The generator that comes with the plugin: a small latent flow on the bundled CLS."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.generators._generator import OnStep, check_request, tell
from napari_pathfm.generators._image import Provenance, SyntheticImage, condition_hash
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray
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
    licence="BSD-3-Clause",
    weight_files=(),
    bundled=_FILES,
    citation="docs/model-cards/bundled-generator.md",
    notice="A demonstration model: not for research or diagnosis.",
)
# A preview costs about as much as two network passes; every fifth step is enough to see
# the tissue form.
_PREVIEW_EVERY = 5


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
            module.to(self._device).eval().requires_grad_(False)
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
        on_step: OnStep | None = None,
    ) -> list[SyntheticImage]:
        """Generate tiles; see `Generator.generate`."""
        steps = BUNDLED.steps if steps is None else steps
        guidance = BUNDLED.guidance if guidance is None else guidance
        check_request(BUNDLED, condition, n, steps, guidance)
        rows = [None] if condition is None else list(condition)
        total = len(rows) * n * steps
        images: list[SyntheticImage] = []
        for row in rows:
            for _ in range(n):
                before = len(images) * steps
                pixels = self._sample(
                    row, seed + len(images), steps, guidance, before, total, on_step
                )
                provenance = self._provenance(row, seed + len(images), steps, guidance)
                images.append(SyntheticImage(pixels, provenance))
        return images

    # One image at a time: convolutions over another batch size round otherwise, and an
    # image must come out the same whether it was made alone or among others.
    def _sample(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        steps: int,
        guidance: float,
        before: int,
        total: int,
        on_step: OnStep | None,
    ) -> NDArray[np.uint8]:
        import torch

        from napari_pathfm.generators._autoencoder import DOWNSAMPLE, LATENT_CHANNELS
        from napari_pathfm.generators._sampling import guided, heun

        side = BUNDLED.tile_px // DOWNSAMPLE
        # Drawn on the CPU, so that a seed means the same noise on every device.
        noise = torch.randn(
            (1, LATENT_CHANNELS, side, side),
            generator=torch.Generator().manual_seed(seed),
        ).to(self._device)
        told = None
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            told = told.to(self._device)

        def after_step(step: int, estimate: torch.Tensor) -> None:
            glimpse = on_step is not None and step % _PREVIEW_EVERY == 0
            preview = self._decode(estimate) if glimpse else None
            tell(on_step, before + step, total, preview)

        with torch.inference_mode():
            velocity = guided(self._unet, told, guidance, BUNDLED.guidance_interval)
            return self._decode(heun(velocity, noise, steps, after_step))

    def _decode(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        from napari_pathfm.generators._autoencoder import to_uint8

        pixels: NDArray[np.uint8] = (
            to_uint8(self._autoencoder.decode(latents))[0].cpu().numpy()
        )
        return pixels

    def _provenance(
        self, row: NDArray[np.float32] | None, seed: int, steps: int, guidance: float
    ) -> Provenance:
        from napari_pathfm import __version__

        return Provenance(
            generator=BUNDLED.name,
            generator_revision=self.revision,
            sampler="heun",
            steps=steps,
            guidance=guidance,
            guidance_interval=BUNDLED.guidance_interval,
            seed=seed,
            mpp=BUNDLED.mpp,
            condition_sha256=condition_hash(row),
            notice=BUNDLED.notice,
            software=f"napari-pathfm {__version__}",
        )
