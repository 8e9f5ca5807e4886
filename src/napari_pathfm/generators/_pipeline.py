"""Generators that come as a diffusers pipeline with code of their own.

Nothing about the inside is assumed: configs, scheduler and output size come from the
folder. A generator states its spec, the folders its code lies in, and its call.
"""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import WeightsError
from napari_pathfm.generators._consent import require_consent
from napari_pathfm.generators._flow import whole_tiles_only
from napari_pathfm.generators._generator import check_request
from napari_pathfm.generators._make import make_images
from napari_pathfm.generators._settings import settle

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._generator import OnStep
    from napari_pathfm.generators._image import SyntheticImage
    from napari_pathfm.generators._make import Draw, Report
    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._spec import GeneratorSpec

INDEX = "model_index.json"
CODE = "pipeline.py"


@dataclass(frozen=True)
class Chosen:
    """What draws the images of one request, as the provenance tells it."""

    settings: Settings
    draw: Draw
    engine: str
    precision: str = "fp32"


class PipelineGenerator(ABC):
    """A repository's own pipeline, watched pass by pass.

    Parameters
    ----------
    pipeline : diffusers pipeline
        Loaded, in single precision.
    revision : str
        Of weights and code.
    """

    spec: GeneratorSpec

    def __init__(self, pipeline: Any, revision: str) -> None:
        self._pipeline = pipeline
        self._pipeline.set_progress_bar_config(disable=True)
        self.revision = revision

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
        """Generate tiles; see `Generator.generate`.

        Steps are counted by watching the pipeline's denoiser, since no pipeline is
        known to offer a callback; there is no preview then.
        """
        settings = settle(
            self.spec,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            preset=preset,
            conditional=condition is not None,
        )
        check_request(self.spec, condition, n, settings)
        chosen = self._choose(settings, asked=sampler is not None, on_step=on_step)
        return make_images(
            self.spec,
            self.revision,
            condition,
            n=n,
            seed=seed,
            settings=chosen.settings,
            draw=chosen.draw,
            on_step=on_step,
            engine=chosen.engine,
            precision=chosen.precision,
        )

    def flow(self, on_step: OnStep | None = None) -> LatentFlow:
        """Refuse: what goes on inside is the pipeline's own; see `Generator.flow`."""
        raise whole_tiles_only(self.spec, "its own pipeline")

    def _choose(
        self, settings: Settings, *, asked: bool, on_step: OnStep | None
    ) -> Chosen:
        """Say what draws the images; a generator with a second way overrides it."""
        return Chosen(settings, self._draw, type(self._pipeline).__name__)

    @abstractmethod
    def _arguments(
        self, row: NDArray[np.float32] | None, seed: int, settings: Settings
    ) -> dict[str, Any]:
        """Give what the pipeline is called with."""

    def _draw(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        settings: Settings,
        report: Report,
    ) -> NDArray[np.uint8]:
        import torch

        passes = 0

        # Solvers and guidance may make several passes a step; the count is held at the
        # last step but one until the image is there.
        def count() -> None:
            nonlocal passes
            report(min(passes, settings.steps - 1), None)
            passes += 1

        with torch.inference_mode(), passes_of(denoiser(self._pipeline), count):
            arguments = self._arguments(row, seed, settings)
            image = self._pipeline(**arguments)["images"][0]
        pixels = np.asarray(image.convert("RGB"))
        report(settings.steps, pixels)
        return pixels


def load_pipeline(folder: Path, spec: GeneratorSpec, code: Path, **parts: Any) -> Any:
    """Load a folder's pipeline with the code that lies in another or the same.

    Raises
    ------
    WeightsError
        If anything in it does not load.
    """
    from diffusers import DiffusionPipeline

    # Diffusers runs the code of every local folder in one module of the file's name,
    # where it would find the classes of the folder before too.
    for name in [n for n in sys.modules if n.startswith("diffusers_modules.local.")]:
        del sys.modules[name]
    try:
        json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return DiffusionPipeline.from_pretrained(
            str(folder),
            custom_pipeline=str(code),
            trust_remote_code=True,
            local_files_only=True,
            # Also makes it load in single precision, whatever the files have.
            low_cpu_mem_usage=False,
            **parts,
        )
    # The repository's own code runs here and may raise anything.
    except Exception as error:
        reason = str(error).strip().splitlines()
        raise WeightsError(
            f"{spec.title} cannot be loaded from {folder} "
            f"({type(error).__name__}: {reason[0][:200] if reason else 'no reason'}): "
            "download the repository whole"
        ) from error


def load_part(kind: str, folder: Path, spec: GeneratorSpec) -> Any:
    """Load one of diffusers' own models that a pipeline does not bring itself.

    Raises
    ------
    WeightsError
        If it does not load.
    """
    import diffusers
    from safetensors import SafetensorError

    try:
        return getattr(diffusers, kind).from_pretrained(
            str(folder), local_files_only=True, low_cpu_mem_usage=False
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        reason = (str(error).strip() or "no reason").splitlines()[0][:200]
        raise WeightsError(
            f"the {kind} of {spec.title} cannot be loaded from {folder} ({reason}): "
            "download it again"
        ) from error


def admit(
    spec: GeneratorSpec,
    folder: Path,
    *code: Path,
    needed: Sequence[Path],
    trust_remote_code: bool,
) -> None:
    """Let a folder's code run: it is agreed to, and nothing is missing.

    Parameters
    ----------
    spec : GeneratorSpec
    folder, *code : Path
        Everything that Python files are loaded from.
    needed : sequence of Path
        Without which it is no such repository.
    trust_remote_code : bool
        The answer that is given now.

    Raises
    ------
    WeightsError
        If nobody agreed, or something is missing.
    """
    folders = list(dict.fromkeys((folder, *code)))
    if not trust_remote_code:
        require_consent(spec, folders, trust_remote_code=False)
    for path in needed:
        if not path.exists():
            place = folder if folder in path.parents else path.parent
            raise WeightsError(
                f"{place} is not laid out as {spec.title}'s repository: "
                f"no {path.relative_to(place)}"
            )
    require_consent(spec, folders, trust_remote_code=trust_remote_code)


def revision_of(origin: str, *folders: Path) -> str:
    """SHA-256 of all weights and code in the folders, 12 hex digits, with its origin.

    Raises
    ------
    WeightsError
        If there are no weights.
    """
    kinds = (".safetensors", ".bin")
    files = [p for f in folders for p in sorted(f.rglob("*"))]
    if not any(p.suffix in kinds for p in files):
        raise WeightsError(f"{folders[0]} holds no weights: download it whole")
    wanted = [p for p in files if p.suffix in (*kinds, ".py") and p.is_file()]
    return f"{origin}:{weight_files.digest(*wanted)}"


@contextmanager
def passes_of(network: Any, count: Any) -> Iterator[None]:
    """Call ``count()`` at the start of each pass of a network.

    A pipeline may call the network itself, its ``forward``, or another method (REPA-E
    has ``inference``), so the parts are watched: whichever runs first is the clock.
    """
    clock: list[Any] = []

    def beat(module: object, *_inputs: object) -> None:
        if not clock:
            clock.append(module)
        if module is clock[0]:
            count()

    parts = [m for m in network.modules() if m is not network] or [network]
    hooks = [part.register_forward_pre_hook(partial(beat)) for part in parts]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def denoiser(pipeline: Any) -> Any:
    """Find the network that is called once a step: the largest part but the VAE.

    Raises
    ------
    WeightsError
        If there is none.
    """
    import torch

    parts = {
        name: part
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module) and name != "vae"
    }
    if not parts:
        raise WeightsError(
            f"the folder of {type(pipeline).__name__} has no denoiser in its {INDEX}"
        )
    named = next((parts[k] for k in ("transformer", "unet", "sit") if k in parts), None)
    if named is not None:
        return named
    return max(parts.values(), key=lambda m: sum(p.numel() for p in m.parameters()))
