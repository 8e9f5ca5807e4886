"""What every generator offers, and the checks that they share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_pathfm.errors import Cancelled, PathfmError

if TYPE_CHECKING:
    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._image import SyntheticImage
    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._spec import GeneratorSpec

#: Called as ``on_step(step, total, preview)`` after each pass of the network, with the
#: steps that are done; ``preview`` is a uint8 ``(h, w, 3)`` glimpse of the image or
#: None; answering False cancels.
OnStep = Callable[[int, int, NDArray[np.uint8] | None], bool | None]


class Generator(Protocol):
    """A latent diffusion model that makes tiles. `load_generator` gives one."""

    spec: GeneratorSpec
    revision: str

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
        """Generate tiles.

        Parameters
        ----------
        condition : ndarray or None
            float32 ``(N, D)``: CLS of the encoder that ``spec.encoder`` names, not
            normalised; None generates unconditionally, as if ``N`` were 1.
        n : int
            Images per row of the condition.
        seed : int
            Of the first image; the next ones count up. The same seed, condition and
            settings give the same bytes on the same machine, whatever ``n`` is.
        steps, guidance, sampler : int, float, str, optional
            Those of the preset if not given; ``spec.samplers`` are to choose from.
        preset : {"paper", "fast"}, optional
            ``"paper"``, which is the default, is what the model was published with.
        on_step : callable, optional
            See `OnStep`.

        Returns
        -------
        list of SyntheticImage
            ``N * n`` images, row by row.

        Raises
        ------
        PathfmError
            If condition or settings make no sense.
        Cancelled
            If ``on_step`` said so.
        """

    def flow(self, on_step: OnStep | None = None) -> LatentFlow:
        """Give the network and the autoencoder, for what is no whole tile.

        Raises
        ------
        PathfmError
            If the generator makes whole tiles only.
        Cancelled
            If ``on_step`` said so while the network was tried.
        """


def check_request(
    spec: GeneratorSpec,
    condition: NDArray[np.float32] | None,
    n: int,
    settings: Settings,
) -> None:
    """Refuse a request that cannot be met before any work starts.

    Raises
    ------
    PathfmError
        Naming what is wrong with it.
    """
    if n < 1:
        raise PathfmError(f"{n} images were asked for: ask for at least one")
    if settings.steps < 1:
        raise PathfmError(f"{settings.steps} steps make no image: ask for at least one")
    if not np.isfinite(settings.guidance) or settings.guidance < 0:
        raise PathfmError(f"guidance {settings.guidance:g} makes no sense: use 1 to 5")
    if condition is None:
        return
    if condition.ndim != 2 or condition.shape[1] != spec.condition_dim:
        raise PathfmError(
            f"{spec.title} is conditioned on the CLS of {spec.encoder}, "
            f"(N, {spec.condition_dim}), not on {condition.shape}"
            + (
                ": this looks like CLS and mean of the patches; give the first half"
                if condition.shape[-1] == 2 * spec.condition_dim
                else ""
            )
        )
    if not np.isfinite(condition).all():
        raise PathfmError("the condition holds values that are not finite")


def tell(
    on_step: OnStep | None, step: int, total: int, preview: NDArray[np.uint8] | None
) -> None:
    """Report a step.

    Raises
    ------
    Cancelled
        If the listener answers False.
    """
    if on_step is not None and on_step(step, total, preview) is False:
        raise Cancelled(f"stopped at step {step} of {total}; nothing was kept")
