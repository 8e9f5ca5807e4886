"""Configs of the recipes of autoencoder and generator, and how these are built."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Literal

from napari_pathfm.training._config import AtLeast, Between
from napari_pathfm.training._data import Data  # noqa: TC001 (read at run time)
from napari_pathfm.training._tables import Machine, Optimiser, Run

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.training._recipe import Recipe

_Weight = Annotated[float, AtLeast(0)]
_Count = Annotated[int, AtLeast(1)]
_Sampler = Literal["heun", "euler", "dpm", "sde"]


@dataclass(frozen=True)
class AutoencoderTable:
    """``[autoencoder]``.

    Attributes
    ----------
    kind : {"kl", "plain"}
        Diffusers' AutoencoderKL, or the bundled one's residual convolutions.
    widths : tuple of int
        Channels of its stages; three for the plain one.
    channels, groups : int
        Latent channels and groups of the norms; of the kind ``"kl"``.
    latent_noise : float
        Put on unit latents before the decoder; of the kind ``"plain"``.
    weights : str or None
        Where to begin: a run's folder, or a weight file in the names of diffusers or
        CompVis. Seen from the current folder.
    tune : bool
        Whether the generator's recipe goes on training it.
    """

    kind: Literal["kl", "plain"]
    widths: tuple[int, ...]
    channels: _Count = 4
    groups: _Count = 32
    latent_noise: _Weight = 0.08
    weights: str | None = None
    tune: bool = True

    @property
    def downsample(self) -> int:
        """Pixels a latent cell, along each side."""
        return 8 if self.kind == "plain" else int(2 ** (len(self.widths) - 1))

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.kind == "plain":
            if len(self.widths) != 3 or any(w % 8 for w in self.widths):
                return "widths: a plain autoencoder has three, multiples of 8"
        elif not self.widths or any(w % self.groups for w in self.widths):
            return f"widths: give multiples of groups = {self.groups}"
        return None


@dataclass(frozen=True)
class DenoiserTable:
    """``[denoiser]``.

    Attributes
    ----------
    kind : {"sit", "unet"}
        A SiT, or the bundled U-Net, which is further along on little compute.
    width, depth, heads, patch : int
        Of the SiT.
    align_depth, projector_width : int
        The block whose tokens are aligned, counted from 1; the projector's width.
    widths : tuple of int
        Of the U-Net.
    """

    kind: Literal["sit", "unet"]
    width: _Count = 1152
    depth: _Count = 28
    heads: _Count = 16
    patch: _Count = 2
    align_depth: _Count = 8
    projector_width: _Count = 2048
    widths: tuple[int, int, int] = (64, 128, 224)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.kind == "unet":
            if any(w % 32 or w < 32 for w in self.widths):
                return "widths: give multiples of 32"
        elif self.width % self.heads or self.width % 4:
            return f"width: {self.width} cannot be shared among {self.heads} heads"
        elif self.align_depth > self.depth:
            return f"align_depth: there are {self.depth} blocks"
        return None


@dataclass(frozen=True)
class Flow:
    """``[flow]``.

    Attributes
    ----------
    times : {"uniform", "logit-normal"}
        How times are drawn.
    drop : float
        Share of conditions that are dropped.
    condition_noise : float
        Noise on conditions while learning, in their standard deviations: a tile's
        features name it, and a network that may rely on that learns tiles by heart.
    remembered : int
        Tiles whose latents and features are computed once and kept in memory, instead
        of new tiles all the time; only where the autoencoder is not tuned. 0 for none.
    """

    times: Literal["uniform", "logit-normal"] = "uniform"
    drop: Annotated[float, Between(0, 1)] = 0.1
    condition_noise: Annotated[float, AtLeast(0)] = 0.0
    remembered: Annotated[int, AtLeast(0)] = 0


@dataclass(frozen=True)
class Weights:
    """``[losses]``: what each loss counts; zero leaves one out.

    Attributes
    ----------
    l1, l2, edges, features, kl, adversary : float
        Of the autoencoder: pixels, differences of neighbours, the feature network,
        KL summed over an image, and the patch critic.
    adversary_start : int
        The step from which on there is a critic.
    align_autoencoder, align : float
        Of the alignment, for the autoencoder and for the denoiser.
    """

    l1: _Weight = 1.0
    l2: _Weight = 0.0
    edges: _Weight = 0.0
    features: _Weight = 0.0
    kl: _Weight = 1e-6
    adversary: _Weight = 0.0
    adversary_start: Annotated[int, AtLeast(0)] = 0
    align_autoencoder: _Weight = 1.5
    align: _Weight = 0.5


@dataclass(frozen=True)
class EncoderTable:
    """``[encoder]``: whose CLS is the condition, and whose tokens are aligned with.

    Attributes
    ----------
    name : str
        In the catalogue, or a file that describes an encoder.
    weights : str or None
        Folder or file, if they are to come from there.
    """

    name: str
    weights: str | None = None


@dataclass(frozen=True)
class Published:
    """``[generator]``: what the published folder says of itself.

    Attributes
    ----------
    name, title, licence, notice : str
        For people, and for provenance.
    sampler, steps : str, int
        The default.
    fast_sampler, fast_steps : str, int
        The preset ``"fast"``.
    guidance, guidance_interval : float, (float, float)
        Default scale, and the times at which it acts; 1 is noise.
    """

    name: str
    title: str
    licence: str = "not stated"
    notice: str = "Not for diagnosis."
    sampler: _Sampler = "heun"
    steps: _Count = 25
    fast_sampler: _Sampler = "dpm"
    fast_steps: _Count = 12
    guidance: _Weight = 1.5
    guidance_interval: tuple[float, float] = (0.0, 0.75)


@dataclass(frozen=True)
class AutoencoderConfig:
    """Config of the autoencoder's recipe."""

    run: Run
    optimiser: Optimiser
    data: Data
    autoencoder: AutoencoderTable
    critic_optimiser: Optimiser | None = None
    losses: Weights = field(default_factory=Weights)
    machine: Machine = field(default_factory=Machine)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        return _tile_problem(self.data, self.autoencoder.downsample)


@dataclass(frozen=True)
class GeneratorConfig:
    """Config of the generator's recipe; `optimiser` is the denoiser's."""

    run: Run
    optimiser: Optimiser
    data: Data
    encoder: EncoderTable
    autoencoder: AutoencoderTable
    denoiser: DenoiserTable
    generator: Published
    autoencoder_optimiser: Optimiser | None = None
    critic_optimiser: Optimiser | None = None
    flow: Flow = field(default_factory=Flow)
    losses: Weights = field(default_factory=Weights)
    machine: Machine = field(default_factory=Machine)

    def problem(self) -> str | None:
        """Say what cannot be, as ``key: why``."""
        if self.denoiser.kind == "unet" and self.autoencoder.kind == "kl":
            return "denoiser.kind: the U-Net goes with the plain autoencoder"
        if self.autoencoder.tune and self.flow.remembered:
            return "flow.remembered: latents change while autoencoder.tune is true"
        if not self.autoencoder.tune and self.autoencoder.weights is None:
            return "autoencoder.weights: name the trained one, or set tune = true"
        # The U-Net halves its latents twice.
        cells = 4 if self.denoiser.kind == "unet" else self.denoiser.patch
        return _tile_problem(self.data, self.autoencoder.downsample * cells)


def _tile_problem(data: Data, step: int) -> str | None:
    if data.tile_px % step:
        return f"data.tile_px: {data.tile_px} is no multiple of {step}"
    return None


def autoencoder(config: AutoencoderConfig, root: Path) -> Recipe:
    """Build the autoencoder's recipe; the data's paths are relative to ``root``."""
    from napari_pathfm.training._data import open_tiles
    from napari_pathfm.training._repae_autoencoder import AutoencoderRecipe

    tiles = open_tiles(config.data, root, config.machine.workers)
    return AutoencoderRecipe(config, tiles)


def generator(config: GeneratorConfig, root: Path) -> Recipe:
    """Build the generator's recipe; the data's paths are relative to ``root``."""
    from napari_pathfm.training._data import open_tiles
    from napari_pathfm.training._repae import GeneratorRecipe
    from napari_pathfm.training._repae_seen import Guide

    guide = Guide(config.encoder, config.data.tile_px)
    tiles = open_tiles(config.data, root, config.machine.workers)
    return GeneratorRecipe(config, tiles, guide)
