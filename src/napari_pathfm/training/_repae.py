"""The generator's recipe: REPA-E (Leng et al. 2025), or its denoiser's half alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_pathfm.generators._folder import FolderSpec, describe
from napari_pathfm.training._checkpoint import write_tensors, write_text
from napari_pathfm.training._recipe import Phase, grouped
from napari_pathfm.training._repae_codecs import begun_with, build_codec
from napari_pathfm.training._repae_losses import (
    Draws,
    alignment_loss,
    blurred,
    draw,
    flow_loss,
    noised,
)
from napari_pathfm.training._repae_networks import build_denoiser
from napari_pathfm.training._repae_reconstruct import (
    Reconstruction,
    drawn_images,
    judged_psnr,
    latent_shape,
    portions,
    to_images,
)
from napari_pathfm.training._repae_seen import Guide, Remembered
from napari_pathfm.training._repae_step import Seen, denoiser_losses, end_to_end_loss
from napari_pathfm.training._turn import Turn, judging
from napari_pathfm.weights import digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.training._data import Tiles
    from napari_pathfm.training._ranks import Ranks
    from napari_pathfm.training._repae_config import GeneratorConfig

# Tiles by which the latents' and the conditions' statistics begin.
_FIRST = 256
# Steps that no run reaches, for what is drawn once.
_REMEMBERED = (1 << 40) + 1


class GeneratorRecipe:
    """See `Recipe`.

    Parameters
    ----------
    config : GeneratorConfig
    tiles : Tiles
    guide : Guide
    """

    averages = ("denoiser", "autoencoder")

    def __init__(self, config: GeneratorConfig, tiles: Tiles, guide: Guide) -> None:
        self._config, self._tiles, self._guide = config, tiles, guide
        self._tune = config.autoencoder.tune
        codec = build_codec(config.autoencoder)
        # Of a finished plain autoencoder the decoder knows the statistics already.
        self._learn = self._tune or codec.norm_with_denoiser
        self._shape = latent_shape(codec, config.data.tile_px)
        denoiser = build_denoiser(
            config.denoiser,
            channels=codec.channels,
            side=self._shape[1],
            dim=guide.spec.dim,
            recompute=config.run.checkpointing,
        )
        self._side = denoiser.token_side(self._shape[1])
        parts: dict[str, nn.Module] = {"autoencoder": codec}
        self._work: Reconstruction | None = None
        if self._tune:
            self._work = Reconstruction(codec, config.losses, learn=False)
            parts = self._work.parts
        else:
            codec.requires_grad_(False)
        self.module = nn.ModuleDict({**parts, "denoiser": denoiser})
        self._device = torch.device("cpu")
        self._remembered: Remembered | None = None
        self._spread = torch.zeros(guide.spec.dim)  # of conditions, over tiles
        self._judged: dict[str, tuple[NDArray[np.uint8], Seen]] = {}

    def phases(self) -> list[Phase]:
        """Give the autoencoder's and its critic's, if it is tuned; the denoiser's."""
        config, phases = self._config, []
        if self._work is not None:
            own = config.autoencoder_optimiser or config.optimiser
            phases = self._work.phases(own, config.critic_optimiser)
        last = Phase("denoiser", config.optimiser, grouped(self.module["denoiser"]))
        return [*phases, last]

    def place(self, ranks: Ranks) -> None:
        """Put the encoder where the rest is, and look at the first tiles.

        A run that goes on replaces what is found out here by what it had.
        """
        self._device = ranks.device
        self._guide.place(ranks.device)
        if self._work is not None:
            self._work.place(ranks.device)
        wanted = self._config.flow.remembered
        codec, denoiser = self._parts(self.module)
        parts = list(self._look(max(wanted, min(_FIRST, 4 * self._config.run.batch))))
        if wanted:
            self._remembered = Remembered.of(parts)
        cls = torch.cat([seen.cls for _, seen in parts])
        self._spread = cls.std(0)
        denoiser.told(cls)
        if self._learn:
            codec.gather(torch.cat([z for z, _ in parts]))

    def _parts(self, module: Any) -> tuple[Any, Any]:
        return module["autoencoder"], module["denoiser"]

    @torch.no_grad()
    def _look(self, n: int) -> Iterator[tuple[Tensor, Seen]]:
        """Give raw latents and what the encoder says of ``n`` tiles, in portions."""
        size = min(n, 64)
        for part in range(-(-n // size)):
            turn = Turn(self._config.run.seed, _REMEMBERED + part, size)
            images, pixels = drawn_images(self._tiles, turn, self._device)
            z, _ = self._parts(self.module)[0].latents(images, None)
            yield z, self._guide.see(pixels, self._side, self._device)

    def losses(self, turn: Turn, phase: str) -> dict[str, Tensor]:
        """Give the losses of a phase."""
        codec, denoiser = self._parts(self.module)
        weights = self._config.losses
        if phase == "critic":
            assert self._work is not None
            return self._work.critic_losses(turn)
        flow = self._config.flow
        if "draws" not in turn.kept:
            turn.kept["draws"] = draw(
                turn, self._shape, self._device, times=flow.times, drop=flow.drop
            )
        draws = turn.kept["draws"]
        if phase == "autoencoder":
            assert self._work is not None
            images, turn.kept["seen"] = self._drawn(turn)
            losses = self._work.losses(turn, codec, images)
            if weights.align_autoencoder:
                z, seen = turn.kept.pop("attached"), turn.kept["seen"]
                felt = end_to_end_loss(denoiser, codec, z, seen, draws)
                losses["align_autoencoder"] = weights.align_autoencoder * felt
            return losses
        if self._work is None:
            turn.kept["z"], turn.kept["seen"] = self._settled(turn, codec)
        x = codec.normalise(turn.kept["z"], learn=self._learn)
        told: Seen = turn.kept["seen"]
        if flow.condition_noise:
            cls = blurred(told.cls, self._spread, flow.condition_noise, turn)
            told = Seen(cls, told.tokens)
        return denoiser_losses(denoiser, x, told, draws, weights)

    def _drawn(self, turn: Turn) -> tuple[Tensor, Seen]:
        images, pixels = drawn_images(self._tiles, turn, self._device)
        return images, self._guide.see(pixels, self._side, self._device)

    @torch.no_grad()
    def _settled(self, turn: Turn, codec: Any) -> tuple[Tensor, Seen]:
        """Give raw latents of an autoencoder that is not tuned."""
        if self._remembered is not None:
            return self._remembered.draw(turn, self._device)
        images, seen = self._drawn(turn)
        return codec.latents(images, None)[0], seen

    def after_step(self, step: int) -> None:
        """Nothing follows."""

    def figures(self, averaged: Any, side: str) -> dict[str, float]:
        """Flow, alignment and PSNR on fixed tiles, with fixed times and noise.

        A flow loss that is lower on tiles of the slides that are learnt from than on
        held-out slides is slide-level overfitting.
        """
        if side not in self._judged:
            pixels = self._tiles.judged(side)
            if pixels is None:
                return {}
            seen = self._guide.see(pixels, self._side, self._device)
            self._judged[side] = pixels, seen
        pixels, seen = self._judged[side]
        codec, denoiser = self._parts(averaged)
        times = self._config.flow.times
        turn = judging(0, len(pixels))
        draws = draw(turn, self._shape, self._device, times=times, drop=0)
        sums = {"flow": 0.0, "align": 0.0}
        for part in portions(torch.arange(len(pixels))):
            images = to_images(pixels[part.numpy()], self._device)
            z, _ = codec.latents(images, None)
            x = codec.normalise(z, learn=False)
            own = Draws(draws.t[part], draws.noise[part], draws.drop[part])
            velocity, projected = denoiser(noised(x, own), own.t, seen.cls[part])
            share = len(part) / len(pixels)
            sums["flow"] += share * float(flow_loss(velocity, x, own))
            sums["align"] += share * float(alignment_loss(projected, seen.tokens[part]))
        return {**sums, "psnr": judged_psnr(codec, pixels, self._device)}

    def write(self, averaged: Any, folder: Path, provenance: Mapping[str, Any]) -> None:
        """Write the two weight files and ``generator.json``: `load_generator` reads."""
        codec, denoiser = self._parts(averaged)
        norm = codec.norm if codec.norm_with_denoiser else None
        files = {
            "autoencoder.safetensors": codec.published(),
            "denoiser.safetensors": denoiser.published(norm),
        }
        for name, tensors in files.items():
            write_tensors(folder / name, tensors, provenance)
        spec = self._spec(folder, denoiser.described(), codec.described())
        write_text(folder / "generator.json", describe(spec, dict(provenance)))

    def _spec(
        self, folder: Path, denoiser: dict[str, Any], autoencoder: dict[str, Any]
    ) -> FolderSpec:
        said, data = self._config.generator, self._config.data
        source = self._guide.spec.source
        samplers = (said.sampler, "heun", "euler", "dpm", "sde")
        return FolderSpec(
            name=said.name,
            title=said.title,
            # A person's own encoder is found again by its file.
            encoder=self._guide.spec.name if source is None else str(source.resolve()),
            condition_dim=self._guide.spec.dim,
            tile_px=data.tile_px,
            mpp=data.mpp,
            steps=said.steps,
            guidance=said.guidance,
            guidance_interval=said.guidance_interval,
            samplers=tuple(dict.fromkeys(samplers)),
            fast=(said.fast_sampler, said.fast_steps),
            licence=said.licence,
            notice=said.notice,
            folder=folder,
            denoiser=denoiser,
            autoencoder=autoencoder,
        )

    def fingerprints(self) -> dict[str, Any]:
        """Say what the run learns from, and what it starts with."""
        facts = {"data": self._tiles.facts, "encoder": self._guide.revision}
        path = begun_with(self._config.autoencoder)
        if path is not None:
            facts["autoencoder"] = digest(path)
        return facts
