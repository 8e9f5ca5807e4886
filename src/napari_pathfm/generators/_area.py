"""Areas of any size, and tiles of which a part is known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError
from napari_pathfm.generators._generator import check_request, tell
from napari_pathfm.generators._image import SyntheticImage
from napari_pathfm.generators._make import provenance_of
from napari_pathfm.generators._noise import placed_noise
from napari_pathfm.generators._settings import Settings, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.generators._generator import Generator, OnStep

#: Samplers that follow the flow; the others draw noise in an order, not at a place.
AREA_SAMPLERS = ("euler", "heun", "dpm")


@dataclass(frozen=True, eq=False)
class Known:
    """What of an area is there already.

    Attributes
    ----------
    pixels : ndarray
        uint8 ``(h, w, 3)``, of the whole area.
    unknown : ndarray
        bool, one per latent cell: those to be made.
    """

    pixels: NDArray[np.uint8]
    unknown: NDArray[np.bool_]


def area_settings(
    generator: Generator,
    *,
    sampler: str | None,
    steps: int | None,
    guidance: float | None,
    preset: str | None,
    conditional: bool = True,
) -> Settings:
    """Fill up what was not asked for, with a sampler that makes areas.

    A generator whose own sampler makes none is sampled as fast, with guidance as
    published.

    Raises
    ------
    PathfmError
        If the generator or areas have no such sampler, or there is no such preset.
    """
    spec = generator.spec
    if sampler is None and spec.samplers[0] not in AREA_SAMPLERS:
        preset = "fast"
    settings = settle(
        spec,
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        preset=preset,
        conditional=conditional,
    )
    if settings.sampler not in AREA_SAMPLERS:
        able = [name for name in spec.samplers if name in AREA_SAMPLERS]
        raise PathfmError(
            f"areas cannot be made with the sampler {settings.sampler!r}"
            + (f": choose one of {', '.join(able)}" if able else f" of {spec.title}")
        )
    return settings


def generate_area(
    generator: Generator,
    shape: tuple[int, int],
    windows: Sequence[tuple[int, int]],
    conditions: NDArray[np.float32] | None,
    *,
    place: tuple[int, int] = (0, 0),
    known: Known | None = None,
    seed: int = 0,
    steps: int | None = None,
    guidance: float | None = None,
    sampler: str | None = None,
    preset: str | None = None,
    on_step: OnStep | None = None,
) -> SyntheticImage:
    """Generate an area from overlapping windows that are fused at every step.

    All numbers are latent cells; see `LatentFlow` for how large one is.

    Parameters
    ----------
    generator : Generator
        One that gives its `LatentFlow`.
    shape : (int, int)
        Height and width.
    windows : sequence of (int, int)
        First row and column of each, within the area. What none covers comes out white.
    conditions : ndarray or None
        float32 ``(N, D)``, one per window.
    place : (int, int)
        Row and column of the area's first cell on the slide: noise is drawn from the
        seed and the position, whatever else is made.
    known : Known, optional
        What is there already.
    seed, steps, guidance, sampler, preset
        See `Generator.generate`; the sampler is one of `AREA_SAMPLERS`.
    on_step : callable, optional
        See `OnStep`; called after every pass of the network, of each window, with the
        number of passes; and after each window that is encoded or decoded, so that
        stopping never takes longer than one of these.

    Returns
    -------
    SyntheticImage
        Its condition's hash is of all conditions, one after the other.

    Raises
    ------
    PathfmError
        If the request makes no sense, or the generator makes whole tiles only.
    Cancelled
        If ``on_step`` said so.
    """
    settings = area_settings(
        generator,
        sampler=sampler,
        steps=steps,
        guidance=guidance,
        preset=preset,
        conditional=conditions is not None,
    )
    check_request(generator.spec, conditions, 1, settings)
    flow = generator.flow(on_step)
    if conditions is not None and len(conditions) != len(windows):
        raise PathfmError(f"{len(conditions)} conditions for {len(windows)} windows")
    height, width = shape
    for r, c in windows:
        if not (0 <= r <= height - flow.side and 0 <= c <= width - flow.side):
            raise PathfmError(
                f"the window at ({r}, {c}) leaves the area of {height} x {width} cells"
            )
    passes = settings.steps
    if settings.sampler == "heun":
        passes = 2 * settings.steps - 1
    total, done = passes * len(windows), 0

    def after_window() -> None:
        nonlocal done
        done += 1
        tell(on_step, done, total, None)

    def between_windows() -> None:
        tell(on_step, done, total, None)

    from napari_pathfm.generators._fusion import sample_area

    pixels = sample_area(
        flow,
        placed_noise(seed, flow.channels, *place, *shape),
        windows,
        conditions,
        settings,
        known=None if known is None else (known.pixels, known.unknown),
        after_window=after_window,
        between_windows=between_windows,
    )
    told = provenance_of(
        generator.spec,
        generator.revision,
        conditions,
        seed,
        settings,
        pixels,
        flow.engine,
        flow.precision,
    )
    # Of any size, but as fine as a tile.
    mpp = generator.spec.mpp * generator.spec.tile_px / (flow.side * flow.downsample)
    return SyntheticImage(pixels, replace(told, mpp=mpp))
