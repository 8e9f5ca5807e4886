"""What the catalogue states about a generator."""

from __future__ import annotations

from dataclasses import dataclass

from napari_pathfm.weights import ModelSpec


@dataclass(frozen=True, kw_only=True)
class GeneratorSpec(ModelSpec):
    """One generator: its condition and its defaults; see `ModelSpec` for the rest.

    An image stands for ``tile_px`` pixels at ``mpp`` micrometres, however many pixels
    it has itself.

    Attributes
    ----------
    encoder : str
        The catalogue's encoder whose CLS is the condition.
    condition_dim : int
        Length of that CLS.
    steps, guidance, guidance_interval
        Defaults. The interval is in time, where 1 is noise and 0 the image.
    samplers : tuple of str
        Those it can be sampled with, the default first; ``"pipeline"`` is whatever its
        own repository brings.
    fast : (str, int)
        Sampler and steps of the preset ``"fast"``.
    remote_code : bool
        Whether its repository brings code that has to be run.
    """

    encoder: str
    condition_dim: int
    steps: int
    guidance: float
    guidance_interval: tuple[float, float]
    samplers: tuple[str, ...]
    fast: tuple[str, int]
    remote_code: bool = False
    weight_files: tuple[str, ...] = ("model_index.json",)
