"""What the catalogue states about a generator."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GeneratorSpec:
    """One generator: its condition, its defaults, and what its licence allows.

    Attributes
    ----------
    name, title : str
        In the catalogue, and for people.
    encoder : str
        The catalogue's encoder whose CLS is the condition.
    condition_dim : int
        Length of that CLS.
    tile_px, mpp : int, float
        The field that an image stands for: ``tile_px`` pixels at ``mpp`` micrometres.
    steps, guidance, guidance_interval
        Defaults. The interval is in time, where 1 is noise and 0 the image.
    licence, gated, hub_repo, hub_revision, access_page, citation, notice
        As for an encoder.
    remote_code : bool
        Whether its repository brings code that has to be run.
    """

    name: str
    title: str
    encoder: str
    condition_dim: int
    tile_px: int
    mpp: float
    steps: int
    guidance: float
    guidance_interval: tuple[float, float]
    licence: str
    gated: bool = False
    hub_repo: str | None = None
    hub_revision: str | None = None
    access_page: str | None = None
    citation: str = ""
    notice: str = ""
    remote_code: bool = False
