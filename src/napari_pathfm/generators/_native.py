"""A SiT and its autoencoder, run by our own samplers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._make import Glimpses

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._sit import SiTTransformer2DModel


_NAMES = {"torch.float32": "fp32", "torch.bfloat16": "bf16", "torch.float16": "fp16"}


class NativeSiT:
    """A SiT and its autoencoder with our samplers.

    Parameters
    ----------
    sit : SiTTransformer2DModel
    vae : AutoencoderKL
        On the same device.
    """

    def __init__(self, sit: SiTTransformer2DModel, vae: Any) -> None:
        self._sit, self._vae = sit, vae
        self._device = sit.pos_embed.device

    def in_precision(self, name: str) -> NativeSiT:
        """Give the same with a copy of the denoiser in ``"bf16"`` or ``"fp16"``.

        The state between the steps, the latents' statistics and the autoencoder, which
        runs once an image, stay in single precision.
        """
        import torch

        half = {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
        # Not the method of diffusers, which warns of modules to keep, of which there
        # are none.
        sit = torch.nn.Module.to(copy.deepcopy(self._sit), half)
        if sit.config.latent_statistics:
            sit.bn.float()
        return NativeSiT(sit, self._vae)

    @classmethod
    def of_pipeline(cls, network: Any, vae: Any) -> NativeSiT:
        """Take over what a pipeline has loaded; tensors are shared, not copied.

        Raises
        ------
        WeightsError
            If the denoiser is no SiT.
        """
        from napari_pathfm.generators._sit_weights import build_sit

        tensors = _without_prefix(network.state_dict())
        config = getattr(network, "config", {})
        heads = config.get("num_attention_heads", config.get("num_heads"))
        return cls(build_sit(tensors, Path("transformer"), heads=heads), vae)

    @classmethod
    def of_checkpoint(
        cls, path: Path, *, heads: int | None = None, groups: int = 32
    ) -> NativeSiT:
        """Load a training checkpoint of REPA-E: ``ema`` and ``vae``.

        `heads` and `groups` (of the autoencoder's norms) are what no shape tells.

        Raises
        ------
        WeightsError
            If a part is missing or does not fit.
        """
        from napari_pathfm import weights as weight_files
        from napari_pathfm.generators._sit_weights import build_sit, checkpoint_part
        from napari_pathfm.generators._vae_weights import build_vae

        found = weight_files.read_tensors(path)
        sit = build_sit(checkpoint_part(found, "ema", "model"), path, heads=heads)
        return cls(sit, build_vae(checkpoint_part(found, "vae"), path, groups=groups))

    def draw(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        settings: Settings,
        report: Report,
        *,
        watched: bool,
    ) -> NDArray[np.uint8]:
        """Make one image, uint8 ``(h, w, 3)``; previews only if `watched`."""
        import torch

        from napari_pathfm.generators._sampling import sample

        told = None
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            told = told.to(self._device)
        glimpses = Glimpses(settings.steps)

        def after_pass(done: int, estimate: Tensor) -> None:
            due = watched and glimpses.due(done)
            report(done, self._decode(estimate) if due else None)

        side = self._sit.config.sample_size
        with torch.inference_mode():
            latents = sample(
                self._velocity,
                told,
                (self._sit.config.in_channels, side, side),
                seed,
                settings,
                device=self._device,
                after_pass=after_pass,
            )
            return self._decode(latents)

    @property
    def precision(self) -> str:
        """Of the denoiser: ``"fp32"``, ``"bf16"`` or ``"fp16"``."""
        return _NAMES[str(self._sit.dtype)]

    def flow(self, engine: str) -> LatentFlow:
        """Give network and autoencoder; see `Generator.flow`."""
        from napari_pathfm.generators._flow import LatentFlow

        stages = len(self._vae.config.block_out_channels)
        return LatentFlow(
            network=self._velocity,
            encode=self._encode,
            decode=self._images,
            channels=self._sit.config.in_channels,
            side=self._sit.config.sample_size,
            downsample=2 ** (stages - 1),
            device=self._device,
            engine=engine,
            precision=self.precision,
        )

    def _velocity(
        self, x: Tensor, t: Tensor, condition: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        seen = x.to(self._sit.dtype)
        velocity: Tensor = self._sit(seen, t, condition, drop, return_dict=False)[0]
        return velocity.to(x.dtype)

    def _encode(self, images: Tensor) -> Tensor:
        plain = self._vae.encode(images.to(self._vae.dtype)).latent_dist.mode().float()
        if self._sit.config.latent_statistics:
            return self._sit.normalize(plain)
        config = self._vae.config
        shifted: Tensor = plain - (config.shift_factor or 0.0)
        scaled: Tensor = shifted * config.scaling_factor
        return scaled

    def _images(self, latents: Tensor) -> Tensor:
        if self._sit.config.latent_statistics:
            plain = self._sit.denormalize(latents)
        else:
            config = self._vae.config
            plain = latents / config.scaling_factor + (config.shift_factor or 0.0)
        images: Tensor = self._vae.decode(plain.to(self._vae.dtype)).sample.float()
        return images

    def _decode(self, latents: Tensor) -> NDArray[np.uint8]:
        import torch

        images = self._images(latents)
        # Truncated, not rounded, as REPA-E does.
        scaled = images.add(1).div(2).mul(255).clamp(0, 255).to(torch.uint8)
        pixels: NDArray[np.uint8] = (
            scaled[0].permute(1, 2, 0).contiguous().cpu().numpy()
        )
        return pixels


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what a wrapper put before every name."""
    ending = "blocks.0.attn.qkv.weight"
    prefix = next((n[: -len(ending)] for n in tensors if n.endswith(ending)), None)
    if prefix is None:
        raise WeightsError("its transformer does not have the names of a SiT")
    return {n.removeprefix(prefix): t for n, t in tensors.items()}
