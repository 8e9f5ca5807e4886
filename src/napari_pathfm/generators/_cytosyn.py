"""CytoSyn, through the pipeline that its own repository brings.

Nothing about its inside is assumed: configs, scheduler and output size come from the
folder. Only the call is known (from a public user of it): ``h0_mini_embeds``,
``num_images_per_prompt``, ``num_inference_steps``, ``guidance_scale``,
``guidance_low``, ``guidance_high``, ``seed``; the result is indexed by ``"images"``.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._generator import OnStep, check_request, tell
from napari_pathfm.generators._image import Provenance, SyntheticImage, condition_hash
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

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
    licence="CC-BY-NC-ND-4.0",
    gated=True,
    hub_repo="Owkin-Bioptimus/CytoSyn",
    access_page="https://huggingface.co/Owkin-Bioptimus/CytoSyn",
    citation="CytoSyn, arXiv:2603.18089",
    notice="Academic and non-commercial use; weights may not be passed on.",
    remote_code=True,
)
_INDEX = "model_index.json"
_CODE = "pipeline.py"


class CytoSyn:
    """CytoSyn's own pipeline, watched step by step.

    Parameters
    ----------
    weights : path, optional
        Folder laid out as the published repository; by default the hub is asked.
    device : str
        See `load_encoder`.
    trust_remote_code : bool
        The repository's ``pipeline.py`` is run; the user has to agree.

    Raises
    ------
    WeightsError
        If the user has not agreed, or the folder is incomplete or damaged.
    """

    spec = CYTOSYN

    def __init__(
        self,
        weights: str | Path | None = None,
        device: str = "auto",
        *,
        trust_remote_code: bool = False,
    ) -> None:
        import torch

        from napari_pathfm.encoders import choose_device

        if not trust_remote_code:
            place = weights if weights is not None else CYTOSYN.hub_repo
            raise WeightsError(
                f"CytoSyn runs Python code from {place}: read its {_CODE}, "
                "then agree with --trust-remote-code"
            )
        folder = self._folder(weights)
        self._pipeline = _load_pipeline(folder)
        self._pipeline.to(choose_device(device), torch.float32)
        self._pipeline.set_progress_bar_config(disable=True)
        files = sorted(
            path
            for path in folder.rglob("*")
            if path.suffix in (".safetensors", ".bin")
        )
        if not files:
            raise WeightsError(f"{folder} holds no weights: download it whole")
        origin = "hub" if weights is None else "local"
        self.revision = f"{origin}:{weight_files.digest(folder / _CODE, *files)}"

    @staticmethod
    def _folder(weights: str | Path | None) -> Path:
        if weights is None:
            return weight_files.hub_folder(
                str(CYTOSYN.hub_repo),
                revision=CYTOSYN.hub_revision,
                access_page=str(CYTOSYN.access_page),
            )
        folder = Path(weights).expanduser()
        for name in (_INDEX, _CODE):
            if not (folder / name).is_file():
                raise WeightsError(
                    f"{folder} is not laid out as CytoSyn's repository: no {name}"
                )
        return folder

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
        """Generate tiles; see `Generator.generate`.

        Steps are counted by watching the pipeline's denoiser, since the pipeline is not
        known to offer a callback; there is no preview.
        """
        steps = CYTOSYN.steps if steps is None else steps
        if guidance is None:
            # Without a condition there is nothing to be guided to.
            guidance = 1.0 if condition is None else CYTOSYN.guidance
        check_request(CYTOSYN, condition, n, steps, guidance)
        rows = [None] if condition is None else list(condition)
        total = len(rows) * n * steps
        images: list[SyntheticImage] = []
        for row in rows:
            for _ in range(n):
                number = seed + len(images)
                with self._watched(len(images) * steps, steps, total, on_step):
                    pixels = self._call(row, number, steps, guidance)
                tell(on_step, (len(images) + 1) * steps, total, pixels)
                provenance = self._provenance(row, number, steps, guidance, pixels)
                images.append(SyntheticImage(pixels, provenance))
        return images

    def _call(
        self, row: NDArray[np.float32] | None, seed: int, steps: int, guidance: float
    ) -> NDArray[np.uint8]:
        import torch

        low, high = CYTOSYN.guidance_interval
        arguments: dict[str, Any] = {
            "num_images_per_prompt": 1,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
            "guidance_low": low,
            "guidance_high": high,
            "seed": seed,
        }
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            arguments["h0_mini_embeds"] = told.to(self._pipeline.device)
        with torch.inference_mode():
            image = self._pipeline(**arguments)["images"][0]
        return np.asarray(image.convert("RGB"))

    @contextmanager
    def _watched(
        self, before: int, steps: int, total: int, on_step: OnStep | None
    ) -> Iterator[None]:
        """Report each pass of the denoiser as a step, and let it be stopped there.

        Solvers and guidance may make several passes a step; the count is held at the
        last step but one until the image is there.
        """
        passes = 0

        def count(_module: object, _inputs: object) -> None:
            nonlocal passes
            tell(on_step, before + min(passes, steps - 1), total, None)
            passes += 1

        hook = _denoiser(self._pipeline).register_forward_pre_hook(count)
        try:
            yield
        finally:
            hook.remove()

    def _provenance(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        steps: int,
        guidance: float,
        pixels: NDArray[np.uint8],
    ) -> Provenance:
        from napari_pathfm import __version__

        return Provenance(
            generator=CYTOSYN.name,
            generator_revision=self.revision,
            sampler=type(self._pipeline).__name__,
            steps=steps,
            guidance=guidance,
            guidance_interval=CYTOSYN.guidance_interval,
            seed=seed,
            mpp=CYTOSYN.mpp * CYTOSYN.tile_px / pixels.shape[0],
            condition_sha256=condition_hash(row),
            notice=CYTOSYN.notice,
            software=f"napari-pathfm {__version__}",
        )


def _load_pipeline(folder: Path) -> Any:
    from diffusers import DiffusionPipeline

    try:
        json.loads((folder / _INDEX).read_text())
        return DiffusionPipeline.from_pretrained(
            str(folder),
            custom_pipeline=str(folder),
            trust_remote_code=True,
            local_files_only=True,
        )
    # The repository's own code runs here and may raise anything.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise WeightsError(
            f"CytoSyn cannot be loaded from {folder} "
            f"({type(error).__name__}: {reason[0][:200] if reason else 'no reason'}): "
            "download the repository whole"
        ) from error


def _denoiser(pipeline: Any) -> Any:
    """Find the network that is called once a step: the largest part but the VAE."""
    import torch

    parts = {
        name: part
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module) and name != "vae"
    }
    if not parts:
        raise WeightsError(
            "this CytoSyn folder has no denoiser in its model_index.json"
        )
    named = next((parts[k] for k in ("transformer", "unet", "sit") if k in parts), None)
    if named is not None:
        return named
    return max(parts.values(), key=lambda m: sum(p.numel() for p in m.parameters()))
