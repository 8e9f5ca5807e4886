"""A pipeline's network run by our own samplers, once both give the same image."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._make import Glimpses

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._sit import SiTTransformer2DModel

_LOG = logging.getLogger(__name__)
# Steps of the comparison, and how far apart values of the two images may be, of 255.
# The paths differ in rounding alone: one truncates where the other rounds.
PARITY_STEPS = 4
_MOST, _MEAN = 4, 0.75
_CANDIDATES = ("sde", "euler", "heun")


@dataclass(frozen=True)
class Parity:
    """What came of comparing our way with a pipeline's own.

    Attributes
    ----------
    passed : bool
        Whether one of our samplers gave the pipeline's image.
    sampler : str
        Which came nearest.
    max_difference, mean_difference : int, float
        Between the two images, of 255.
    says : str
        The outcome in words.
    """

    passed: bool
    sampler: str
    max_difference: int
    mean_difference: float
    says: str


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
        )

    def _velocity(
        self, x: Tensor, t: Tensor, condition: Tensor | None, drop: Tensor | None
    ) -> Tensor:
        velocity: Tensor = self._sit(x, t, condition, drop, return_dict=False)[0]
        return velocity

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


def compare(
    native: NativeSiT,
    own: Callable[[Settings], NDArray[np.uint8]],
    row: NDArray[np.float32],
    settings: Settings,
    report: Report,
) -> Parity:
    """Make one image of a few steps both ways, from the same seed.

    Which sampler a pipeline has is not known, so each of ours that could be it is
    tried.

    Parameters
    ----------
    native : NativeSiT
    own : callable
        ``own(settings)`` makes the pipeline's image with seed 0.
    row : ndarray
        float32 ``(D,)``: some condition.
    settings : Settings
        Whose guidance and interval are used.
    report : callable
        Hears of each pass, so that the comparison can be stopped too.
    """
    settings = replace(settings, steps=PARITY_STEPS)
    theirs = own(settings).astype(np.int16)
    outcomes = []
    for sampler in _CANDIDATES:
        ours = native.draw(
            row,
            0,
            replace(settings, sampler=sampler),
            lambda _done, _preview: report(0, None),
            watched=False,
        )
        if ours.shape != theirs.shape:
            return Parity(
                False, sampler, 255, 255.0, f"sizes differ: {ours.shape[:2]} px"
            )
        apart = np.abs(ours - theirs)
        outcomes.append((float(apart.mean()), int(apart.max()), sampler))
    mean, most, sampler = min(outcomes)
    passed = most <= _MOST and mean <= _MEAN
    return Parity(
        passed,
        sampler,
        most,
        round(mean, 4),
        f"{'equals' if passed else 'differs from'} the repository's pipeline after "
        f"{PARITY_STEPS} steps of {sampler}: at most {most}, on average {mean:.2f} of "
        "255",
    )


def recorded(revision: str, device: str) -> Parity | None:
    """Give what an earlier comparison of these weights on this machine said."""
    path = _record(revision, device)
    if not path.is_file():
        return None
    try:
        return Parity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None  # of another version, or damaged: compare again


def record(parity: Parity, revision: str, device: str) -> None:
    """Keep the outcome; where the cache cannot be written, it is compared again."""
    path = _record(revision, device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False
        ) as file:
            json.dump(asdict(parity), file, indent=1)
        os.replace(file.name, path)
    except OSError as error:
        _LOG.warning("the comparison is not kept in %s: %s", path, error.strerror)


def _record(revision: str, device: str) -> Path:
    import platformdirs
    import torch

    from napari_pathfm import __version__

    told = os.environ.get("NAPARI_PATHFM_CACHE")
    folder = Path(told or platformdirs.user_cache_dir("napari-pathfm")) / "parity"
    kind = f"{revision}_{device}_{__version__}_torch{torch.__version__}"
    return folder / f"{kind.replace(':', '-')}.json"


def _without_prefix(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what a wrapper put before every name."""
    ending = "blocks.0.attn.qkv.weight"
    prefix = next((n[: -len(ending)] for n in tensors if n.endswith(ending)), None)
    if prefix is None:
        raise WeightsError("its transformer does not have the names of a SiT")
    return {n.removeprefix(prefix): t for n, t in tensors.items()}
