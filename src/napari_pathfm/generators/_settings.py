"""How an image is sampled: what was asked for, filled up from a preset."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from napari_pathfm.generators._spec import GeneratorSpec

#: ``"paper"`` is what the model was published with, ``"fast"`` what comes near it.
Preset = Literal["paper", "fast"]
PRESETS: tuple[Preset, ...] = ("paper", "fast")


@dataclass(frozen=True)
class Settings:
    """Everything that decides how an image is sampled, but for its seed.

    Attributes
    ----------
    sampler, steps, guidance
        See `Generator.generate`.
    interval : (float, float)
        Times at which guidance acts; 1 is noise.
    preset : str
        ``"paper"``, ``"fast"``, or ``"own"`` where a person chose otherwise.
    """

    sampler: str
    steps: int
    guidance: float
    interval: tuple[float, float]
    preset: str


def settle(
    spec: GeneratorSpec,
    *,
    sampler: str | None,
    steps: int | None,
    guidance: float | None,
    preset: str | None,
    conditional: bool,
) -> Settings:
    """Fill up what was not asked for.

    Raises
    ------
    PathfmError
        If the generator has no such sampler, or there is no such preset.
    """
    if preset is not None and preset not in PRESETS:
        raise PathfmError(f"no preset {preset!r}: choose one of {', '.join(PRESETS)}")
    if sampler is not None and sampler not in spec.samplers:
        raise PathfmError(
            f"{spec.title} has no sampler {sampler!r}: "
            f"choose one of {', '.join(spec.samplers)}"
        )
    own_sampler, own_steps = spec.samplers[0], spec.steps
    if preset == "fast":
        own_sampler, own_steps = spec.fast
    # Without a condition there is nothing to be guided to.
    own_guidance = spec.guidance if conditional else 1.0
    chosen = Settings(
        sampler=own_sampler if sampler is None else sampler,
        steps=own_steps if steps is None else steps,
        guidance=own_guidance if guidance is None else guidance,
        interval=spec.guidance_interval,
        preset=preset or "paper",
    )
    usual = replace(chosen, sampler=own_sampler, steps=own_steps, guidance=own_guidance)
    return chosen if chosen == usual else replace(chosen, preset="own")
