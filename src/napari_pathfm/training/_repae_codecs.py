"""Autoencoders as training needs them: drawn latents, their statistics, their KL.

Latents are kept raw. `normalise` takes them to unit variance by a batch norm without
affine part: by the statistics it has gathered, or by those of this batch, which it then
gathers. REPA-E has it so, in place of a fixed scale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_pathfm import weights as weight_files
from napari_pathfm.generators._autoencoder import (
    DOWNSAMPLE,
    LATENT_CHANNELS,
    Autoencoder,
)
from napari_pathfm.generators._vae_weights import build_vae
from napari_pathfm.training._repae_losses import kl_loss

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.training._repae_config import AutoencoderTable

# What a run calls an autoencoder's weights, and what diffusers does.
_NAMES = ("autoencoder.safetensors", "diffusion_pytorch_model.safetensors")


class Codec(nn.Module):
    """What both kinds share; `norm` is the batch norm of the latents."""

    channels: int
    downsample: int
    norm: nn.BatchNorm2d
    #: Whether the statistics are kept with the denoiser (REPA-E) or in the autoencoder.
    norm_with_denoiser: bool

    def normalise(self, z: Tensor, *, learn: bool) -> Tensor:
        """Take raw latents to unit variance.

        Parameters
        ----------
        z : Tensor
            ``(N, C, h, w)``.
        learn : bool
            Whether by this batch's statistics, which the running ones then follow.
        """
        self.norm.train(learn)
        normalised: Tensor = self.norm(z.float())
        return normalised

    def gather(self, z: Tensor) -> None:
        """Begin with the statistics of these raw latents."""
        assert self.norm.running_mean is not None
        assert self.norm.running_var is not None
        self.norm.running_mean.copy_(z.mean((0, 2, 3)))
        self.norm.running_var.copy_(z.var((0, 2, 3)))


class KLCodec(Codec):
    """Diffusers' AutoencoderKL, as Stable Diffusion and CytoSyn have it.

    Parameters
    ----------
    vae : AutoencoderKL
    """

    norm_with_denoiser = True

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae.requires_grad_(True)
        self.channels = int(vae.config.latent_channels)
        self.downsample = int(2 ** (len(vae.config.block_out_channels) - 1))
        # Figures of REPA-E.
        self.norm = nn.BatchNorm2d(self.channels, eps=1e-4, momentum=0.1, affine=False)

    def latents(self, images: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Draw raw latents of images in -1..1 by way of normal noise; give the KL loss.

        Without noise the latents are the means.
        """
        posterior = self.vae.encode(images).latent_dist
        mean, logvar = posterior.mean.float(), posterior.logvar.float()
        if noise is None:
            return mean, kl_loss(mean, logvar)
        return mean + (0.5 * logvar).exp() * noise, kl_loss(mean, logvar)

    def decode(self, z: Tensor, noise: Tensor | None, *, learn: bool) -> Tensor:
        """Take raw latents to images in about -1..1; nothing else is used."""
        images: Tensor = self.vae.decode(z).sample
        return images.float()

    def published(self) -> dict[str, Tensor]:
        """Give the autoencoder's tensors."""
        tensors: dict[str, Tensor] = self.vae.state_dict()
        return tensors

    def described(self) -> dict[str, Any]:
        """Give what ``generator.json`` says of it."""
        return {"kind": "kl", "groups": int(self.vae.config.norm_num_groups)}


class PlainCodec(Codec):
    """The bundled autoencoder: no distribution, a little noise on unit latents.

    Parameters
    ----------
    autoencoder : Autoencoder
    widths : tuple of int
        That it was made with.
    noise : float
        Standard deviation of what is put on the normalised latents before the decoder,
        so that it forgives the flow's small errors.
    """

    norm_with_denoiser = False
    channels = LATENT_CHANNELS
    downsample = DOWNSAMPLE

    def __init__(
        self, autoencoder: Autoencoder, widths: tuple[int, ...], noise: float
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self._widths, self._noise = widths, noise

    @property
    def norm(self) -> nn.BatchNorm2d:  # type: ignore[override]
        """The autoencoder's own."""
        return self.autoencoder.latent_norm

    def latents(self, images: Tensor, noise: Tensor | None) -> tuple[Tensor, Tensor]:
        """Give raw latents of images in -1..1, and a KL loss of zero."""
        z = self.autoencoder.encoder(images).float()
        return z, z.new_zeros(())

    def decode(self, z: Tensor, noise: Tensor | None, *, learn: bool) -> Tensor:
        """Take raw latents to images in about -1..1, some normal noise on them."""
        unit = self.normalise(z, learn=learn)
        if noise is not None:
            unit = unit + self._noise * noise
        return self.autoencoder.decode(unit).float()

    def published(self) -> dict[str, Tensor]:
        """Give the autoencoder's tensors, the latents' statistics among them."""
        return self.autoencoder.state_dict()

    def described(self) -> dict[str, Any]:
        """Give what ``generator.json`` says of it."""
        return {"kind": "plain", "widths": list(self._widths)}


AnyCodec = KLCodec | PlainCodec


def begun_with(table: AutoencoderTable) -> Path | None:
    """Find the weight file that a config begins with, if it names one.

    Raises
    ------
    WeightsError
        If it is not there.
    """
    if table.weights is None:
        return None
    return weight_files.local_file(table.weights, _NAMES, "the autoencoder")


def build_codec(table: AutoencoderTable) -> AnyCodec:
    """Make an autoencoder, with random weights or with those of a file.

    Raises
    ------
    WeightsError
        If the weights are not there or do not fit.
    """
    path = begun_with(table)
    tensors = {} if path is None else weight_files.read_tensors(path)
    if table.kind == "plain":
        a, b, c = table.widths
        autoencoder = Autoencoder((a, b, c)).to(memory_format=torch.channels_last)
        if path is not None:
            name = f"a plain autoencoder of widths {table.widths}"
            weight_files.load_strict(autoencoder, tensors, model=name, path=path)
        return PlainCodec(autoencoder, table.widths, table.latent_noise)
    if path is not None:
        return KLCodec(build_vae(tensors, path, groups=table.groups))
    from diffusers import AutoencoderKL

    return KLCodec(
        AutoencoderKL(
            block_out_channels=table.widths,
            down_block_types=("DownEncoderBlock2D",) * len(table.widths),
            up_block_types=("UpDecoderBlock2D",) * len(table.widths),
            layers_per_block=2,
            norm_num_groups=table.groups,
            latent_channels=table.channels,
        )
    )
