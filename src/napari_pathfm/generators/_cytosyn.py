"""CytoSyn, through the pipeline that its own repository brings.

Only the call is known (from a public user of it): ``h0_mini_embeds``,
``num_images_per_prompt``, ``num_inference_steps``, ``guidance_scale``,
``guidance_low``, ``guidance_high``, ``seed``; the result is indexed by ``"images"``.
Where the folder's transformer turns out to be a SiT with REPA-E's names, and our own
way gives the same image as the pipeline, our samplers may be chosen.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.encoders import advised_precision, known_precision
from napari_pathfm.errors import PathfmError, WeightsError
from napari_pathfm.generators import _parity
from napari_pathfm.generators._consent import no_consent
from napari_pathfm.generators._flow import whole_tiles_only
from napari_pathfm.generators._generator import tell
from napari_pathfm.generators._native import NativeSiT
from napari_pathfm.generators._pipeline import (
    CODE,
    INDEX,
    Chosen,
    PipelineGenerator,
    admit,
    denoiser,
    load_pipeline,
    revision_of,
)
from napari_pathfm.generators._settings import settle
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._generator import OnStep
    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._settings import Settings

CYTOSYN = GeneratorSpec(
    name="cytosyn",
    title="CytoSyn",
    encoder="h0-mini",
    condition_dim=768,
    tile_px=224,
    mpp=0.5,
    steps=250,
    guidance=2.5,
    guidance_interval=(0.0, 0.75),
    samplers=("pipeline", "sde", "euler", "heun", "dpm"),
    fast=("dpm", 25),
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="Owkin-Bioptimus/CytoSyn",
    access_page="https://huggingface.co/Owkin-Bioptimus/CytoSyn",
    citation="CytoSyn, arXiv:2603.18089",
    notice="Academic and non-commercial use; weights may not be passed on.",
    remote_code=True,
)


class CytoSyn(PipelineGenerator):
    """CytoSyn's own pipeline, or its network with our samplers.

    Parameters
    ----------
    weights : path, optional
        Folder laid out as the published repository; by default the hub is asked.
    device : str
        See `load_encoder`.
    trust_remote_code : bool
        The repository's code is run; the user has to agree, once for each version of
        that code.
    precision : str
        Of the denoiser with our samplers: ``"auto"`` (the fastest that the device has,
        if it gives the image of single precision), ``"fp32"``, ``"bf16"``, ``"fp16"``.
        The folder's own pipeline runs in fp32.

    Raises
    ------
    WeightsError
        If the user has not agreed, or the folder is incomplete or damaged.
    """

    spec: GeneratorSpec = CYTOSYN

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        trust_remote_code: bool = False,
        precision: str = "auto",
    ) -> None:
        from napari_pathfm.encoders import choose_device

        self._asked = known_precision(precision)
        folder = _folder(weights, trust_remote_code=trust_remote_code)
        admit(
            CYTOSYN,
            folder,
            needed=(folder / INDEX, folder / CODE),
            trust_remote_code=trust_remote_code,
        )
        pipeline = load_pipeline(folder, CYTOSYN, folder)
        pipeline.to(choose_device(device))
        origin = "hub" if weights is None else "local"
        super().__init__(pipeline, revision_of(origin, folder))
        self._native: NativeSiT | None = None
        self._half: NativeSiT | None = None

    def _arguments(
        self, row: NDArray[np.float32] | None, seed: int, settings: Settings
    ) -> dict[str, Any]:
        import torch

        low, high = settings.interval
        arguments: dict[str, Any] = {
            "num_images_per_prompt": 1,
            "num_inference_steps": settings.steps,
            "guidance_scale": settings.guidance,
            "guidance_low": low,
            "guidance_high": high,
            "seed": seed,
        }
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            arguments["h0_mini_embeds"] = told.to(self._pipeline.device)
        return arguments

    def _choose(
        self, settings: Settings, *, asked: bool, on_step: OnStep | None
    ) -> Chosen:
        """Take our own way if it was asked for and has proved itself here.

        A preset falls back to the pipeline; a sampler that was asked for by name is
        refused.
        """
        if settings.sampler == "pipeline":
            return super()._choose(settings, asked=asked, on_step=on_step)
        native, says = self._proved(settings, on_step)
        if native is not None:
            return Chosen(
                settings,
                partial(native.draw, watched=on_step is not None),
                f"native SiT, which {says}",
                native.precision,
            )
        if asked:
            raise PathfmError(
                f"CytoSyn cannot be sampled with {settings.sampler!r} from this folder "
                f"({says}): leave the sampler out to use the folder's own pipeline"
            )
        settings = replace(settings, sampler="pipeline")
        own = super()._choose(settings, asked=asked, on_step=on_step)
        engine = f"{own.engine}; the native SiT does not serve: {says}"
        return replace(own, engine=engine)

    def flow(self, on_step: OnStep | None = None) -> LatentFlow:
        """Give the native SiT, if it has proved itself here; see `Generator.flow`."""
        sampler, steps = CYTOSYN.fast
        settings = settle(
            CYTOSYN,
            sampler=sampler,
            steps=steps,
            guidance=None,
            preset=None,
            conditional=True,
        )
        native, says = self._proved(settings, on_step)
        if native is None:
            raise whole_tiles_only(CYTOSYN, says)
        return native.flow(f"native SiT, which {says}")

    def _proved(
        self, settings: Settings, on_step: OnStep | None
    ) -> tuple[NativeSiT | None, str]:
        """Give our own way if it makes the pipeline's image, and say so or why not."""

        def pulse(_done: int, _preview: NDArray[np.uint8] | None) -> None:
            tell(on_step, 0, settings.steps, None)

        try:
            if self._native is None:
                self._native = NativeSiT.of_pipeline(
                    denoiser(self._pipeline), self._pipeline.vae
                )
        except WeightsError as error:
            return None, str(error)
        exact = self._native
        row: NDArray[np.float32] = (
            np.random.default_rng(0)
            .standard_normal(CYTOSYN.condition_dim)
            .astype(np.float32)
        )
        usual = replace(settings, guidance=CYTOSYN.guidance)
        device = self._pipeline.device.type
        parity = _parity.recorded(self.revision, device)
        if parity is None:
            parity = _parity.compare(
                exact,
                lambda few: self._draw(row, 0, few, pulse),
                row,
                usual,
                pulse,
            )
            _parity.record(parity, self.revision, device)
        if not parity.passed:
            return None, parity.says
        return self._in_precision(exact, parity, row, usual, pulse)

    def _in_precision(
        self,
        exact: NativeSiT,
        parity: _parity.Parity,
        row: NDArray[np.float32],
        settings: Settings,
        pulse: Report,
    ) -> tuple[NativeSiT | None, str]:
        """Take half precision where it is faster here and gives the same image."""
        wanted = self._asked
        if wanted == "auto":
            wanted, _why = advised_precision(self._pipeline.device)
        if wanted == "fp32":
            return exact, parity.says
        kind = f"{self._pipeline.device.type}-{wanted}"
        found = _parity.recorded(self.revision, kind)
        if self._half is None and (found is None or found.passed):
            self._half = exact.in_precision(wanted)
        if found is None:
            assert self._half is not None
            found = _parity.compare_precision(
                self._half, exact, wanted, row, settings, pulse
            )
            _parity.record(found, self.revision, kind)
        if found.passed:
            return self._half, f"{parity.says}; {found.says}"
        self._half = None  # it would take memory for nothing
        if self._asked != "auto":
            raise PathfmError(
                f"CytoSyn cannot run in {wanted} ({found.says}): ask for fp32 or auto"
            )
        return exact, f"{parity.says}; in fp32, for {found.says}"


def _folder(weights: str | Path | None, *, trust_remote_code: bool) -> Path:
    """Find the repository; nothing is downloaded for somebody who has not agreed."""
    if weights is not None:
        return Path(weights).expanduser()
    repo = str(CYTOSYN.hub_repo)
    revision = CYTOSYN.hub_revision
    if not trust_remote_code:
        here = weight_files.cached_file(repo, CODE, revision=revision)
        if here is None:
            raise no_consent(CYTOSYN, repo)
    return weight_files.hub_folder(
        repo, revision=revision, access_page=str(CYTOSYN.access_page)
    )
