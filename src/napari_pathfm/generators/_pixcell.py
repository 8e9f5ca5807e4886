"""PixCell-256, through the pipeline that its authors publish.

Three repositories make it whole: the denoiser, the pipeline's code, and the autoencoder
of Stable Diffusion 3.5. Known of the call (from the model card and public users of it):
``uni_embeds`` ``(B, 1, 1536)``, ``negative_uni_embeds`` from
``get_unconditional_embedding(B)``, ``guidance_scale``, ``num_inference_steps``,
``generator``.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._pipeline import (
    CODE,
    INDEX,
    PipelineGenerator,
    admit,
    load_part,
    load_pipeline,
    revision_of,
)
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from napari_pathfm.generators._settings import Settings

PIXCELL_256 = GeneratorSpec(
    name="pixcell-256",
    title="PixCell-256",
    encoder="uni2-h",
    condition_dim=1536,
    tile_px=256,
    mpp=0.5,
    steps=20,
    guidance=2.0,
    # Of the whole way: its sampler knows no interval.
    guidance_interval=(0.0, 1.0),
    samplers=("pipeline",),
    fast=("pipeline", 10),
    licence="Apache-2.0",
    hub_repo="StonyBrook-CVLab/PixCell-256",
    access_page="https://huggingface.co/StonyBrook-CVLab/PixCell-256",
    citation="PixCell, arXiv:2506.05127",
    notice=(
        "UNI2-h and the autoencoder of Stable Diffusion 3.5 are gated, each under its "
        "own licence."
    ),
    remote_code=True,
)
_CODE_REPO = "StonyBrook-CVLab/PixCell-pipeline"
_VAE_REPO = "stabilityai/stable-diffusion-3.5-large"
_VAE_FILES = ("vae/config.json", "vae/diffusion_pytorch_model.safetensors")


class PixCell(PipelineGenerator):
    """PixCell-256's own pipeline.

    Parameters
    ----------
    weights : path, optional
        Folder laid out as the published repository, with ``pipeline.py`` and ``vae/``
        in it, or with the repositories ``PixCell-pipeline`` and
        ``stable-diffusion-3.5-large`` beside it; by default the hub is asked.
    device : str
        See `load_encoder`.
    trust_remote_code : bool
        The pipeline's code is run; the user has to agree, once for each version of it.

    Raises
    ------
    WeightsError
        If the user has not agreed, or a folder is incomplete or damaged.
    """

    spec: GeneratorSpec = PIXCELL_256

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        trust_remote_code: bool = False,
    ) -> None:
        from napari_pathfm.encoders import choose_device

        if weights is None:
            folder, code, vae = _from_hub(trust_remote_code)
        else:
            folder = Path(weights).expanduser()
            code = _beside(folder, CODE, "PixCell-pipeline")
            vae = _beside(folder, "vae", "stable-diffusion-3.5-large")
        admit(
            PIXCELL_256,
            folder,
            code,
            needed=(folder / INDEX, code / CODE, vae / "vae" / "config.json"),
            trust_remote_code=trust_remote_code,
        )
        part = load_part("AutoencoderKL", vae / "vae", PIXCELL_256)
        pipeline = load_pipeline(folder, PIXCELL_256, code, vae=part)
        pipeline.to(choose_device(device))
        origin = "hub" if weights is None else "local"
        places = _distinct(folder, code, vae / "vae")
        super().__init__(pipeline, revision_of(origin, *places))

    def _arguments(
        self, row: NDArray[np.float32] | None, seed: int, settings: Settings
    ) -> dict[str, Any]:
        import torch

        nothing = self._pipeline.get_unconditional_embedding(1)
        told = nothing
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None, None]
            told = told.to(self._pipeline.device)
        arguments: dict[str, Any] = {
            "uni_embeds": told,
            "guidance_scale": settings.guidance,
            "num_inference_steps": settings.steps,
            # On the CPU, so that a seed means the same noise on every device.
            "generator": torch.Generator().manual_seed(seed),
        }
        if settings.guidance > 1:
            arguments["negative_uni_embeds"] = nothing
        return arguments


def _beside(folder: Path, name: str, repository: str) -> Path:
    """Find what another repository holds: in the folder itself, or beside it."""
    other = folder.parent / repository
    if not (folder / name).exists() and (other / name).exists():
        return other
    return folder


def _from_hub(trust_remote_code: bool) -> tuple[Path, Path, Path]:
    """Fetch the code first, for it is what has to be agreed to."""
    page = str(PIXCELL_256.access_page)
    code = weight_files.cached_file(_CODE_REPO, CODE, revision=None)
    if code is None:
        if not trust_remote_code:
            from napari_pathfm.generators._consent import no_consent

            raise no_consent(PIXCELL_256, _CODE_REPO)
        weight_files.hub_folder(
            _CODE_REPO,
            revision=None,
            access_page=f"https://huggingface.co/{_CODE_REPO}",
        )
        code = weight_files.cached_file(_CODE_REPO, CODE, revision=None)
        if code is None:
            raise WeightsError(f"{_CODE_REPO} holds no {CODE}")
    folder = weight_files.hub_folder(
        str(PIXCELL_256.hub_repo), revision=PIXCELL_256.hub_revision, access_page=page
    )
    # Two files of a repository that is tens of gigabytes whole.
    files = [
        weight_files.hub_file(
            _VAE_REPO,
            name,
            revision=None,
            access_page=f"https://huggingface.co/{_VAE_REPO}",
        )
        for name in _VAE_FILES
    ]
    return folder, code.parent, files[0].parent.parent


def _distinct(*folders: Path) -> Sequence[Path]:
    """Leave out what lies inside another, so that no file is counted twice."""
    return [
        f
        for n, f in enumerate(folders)
        if f not in folders[:n]
        and not any(g in f.parents for g in folders if g is not f)
    ]
