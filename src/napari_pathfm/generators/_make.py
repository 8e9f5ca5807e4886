"""What all generators do alike: make what was asked for, and say what was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.generators._generator import OnStep, check_request, tell
from napari_pathfm.generators._image import Provenance, SyntheticImage, condition_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._spec import GeneratorSpec

    #: ``report(done, preview)``: the steps of this image that are done.
    Report = Callable[[int, NDArray[np.uint8] | None], None]
    #: ``draw(row, seed, settings, report)`` makes one image, uint8 ``(h, w, 3)``.
    Draw = Callable[
        [NDArray[np.float32] | None, int, Settings, Report], NDArray[np.uint8]
    ]


# A preview costs about as much as two network passes: at most five of an image, and
# none nearer than five steps to the one before, is enough to see the tissue form.
_GLIMPSES = 5


class Glimpses:
    """When to show what is forming.

    Parameters
    ----------
    steps : int
        Of the image.
    """

    def __init__(self, steps: int) -> None:
        self._every = max(_GLIMPSES, -(-steps // _GLIMPSES))
        self._shown = 0

    def due(self, done: int) -> bool:
        """Whether a step has just been done after which a preview is shown."""
        if done % self._every or done == self._shown:
            return False
        self._shown = done
        return True


def make_images(
    spec: GeneratorSpec,
    revision: str,
    condition: NDArray[np.float32] | None,
    *,
    n: int,
    seed: int,
    settings: Settings,
    draw: Draw,
    on_step: OnStep | None,
    engine: str = "",
    precision: str = "fp32",
) -> list[SyntheticImage]:
    """Make ``n`` images of each row, one at a time.

    One at a time: convolutions over another batch size round otherwise, and an image
    must come out the same whether it was made alone or among others.

    Raises
    ------
    PathfmError
        If the request makes no sense.
    Cancelled
        If ``on_step`` said so.
    """
    check_request(spec, condition, n, settings)
    rows = [None] if condition is None else list(condition)
    total = len(rows) * n * settings.steps
    images: list[SyntheticImage] = []
    for number, row in enumerate(row for row in rows for _ in range(n)):
        before = number * settings.steps

        def report(
            done: int, preview: NDArray[np.uint8] | None, before: int = before
        ) -> None:
            tell(on_step, before + done, total, preview)

        pixels = draw(row, seed + number, settings, report)
        provenance = provenance_of(
            spec, revision, row, seed + number, settings, pixels, engine, precision
        )
        images.append(SyntheticImage(pixels, provenance))
    return images


def provenance_of(
    spec: GeneratorSpec,
    revision: str,
    row: NDArray[np.float32] | None,
    seed: int,
    settings: Settings,
    pixels: NDArray[np.uint8],
    engine: str,
    precision: str,
) -> Provenance:
    """Say what made an image, as far as the generator knows."""
    from napari_pathfm import __version__

    return Provenance(
        generator=spec.name,
        generator_revision=revision,
        sampler=settings.sampler,
        steps=settings.steps,
        guidance=settings.guidance,
        guidance_interval=settings.interval,
        preset=settings.preset,
        engine=engine,
        precision=precision,
        seed=seed,
        # An image stands for the tile's field of view, however many pixels it has.
        mpp=spec.mpp * spec.tile_px / pixels.shape[1],
        condition_sha256=condition_hash(row),
        notice=spec.notice,
        software=f"napari-pathfm {__version__}",
    )
