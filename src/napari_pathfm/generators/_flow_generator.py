"""Generators whose inside is ours: images from a `LatentFlow`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.generators._make import Glimpses, make_images
from napari_pathfm.generators._settings import settle

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_pathfm.generators._flow import LatentFlow
    from napari_pathfm.generators._generator import OnStep
    from napari_pathfm.generators._image import SyntheticImage
    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._settings import Settings
    from napari_pathfm.generators._spec import GeneratorSpec


class FlowGenerator:
    """A flow and its autoencoder, with our samplers.

    Parameters
    ----------
    spec : GeneratorSpec
        Its samplers are names that `sample` knows.
    revision : str
        Origin and SHA-256 of the weights.
    flow : LatentFlow
    """

    def __init__(self, spec: GeneratorSpec, revision: str, flow: LatentFlow) -> None:
        self.spec = spec
        self.revision = revision
        self._flow = flow

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
        """Generate tiles; see `Generator.generate`."""
        settings = settle(
            self.spec,
            sampler=sampler,
            steps=steps,
            guidance=guidance,
            preset=preset,
            conditional=condition is not None,
        )
        return make_images(
            self.spec,
            self.revision,
            condition,
            n=n,
            seed=seed,
            settings=settings,
            draw=partial(self._draw, watched=on_step is not None),
            on_step=on_step,
        )

    def flow(self, on_step: OnStep | None = None) -> LatentFlow:
        """Give the network and the autoencoder; see `Generator.flow`."""
        return self._flow

    def _draw(
        self,
        row: NDArray[np.float32] | None,
        seed: int,
        settings: Settings,
        report: Report,
        *,
        watched: bool,
    ) -> NDArray[np.uint8]:
        import torch

        from napari_pathfm.generators._sampling import sample

        flow, told = self._flow, None
        if row is not None:
            told = torch.from_numpy(np.ascontiguousarray(row, np.float32))[None]
            told = told.to(flow.device)
        glimpses = Glimpses(settings.steps)

        def after_pass(done: int, estimate: torch.Tensor) -> None:
            due = watched and glimpses.due(done)
            report(done, self._decode(estimate) if due else None)

        with torch.inference_mode():
            latents = sample(
                flow.network,
                told,
                (flow.channels, flow.side, flow.side),
                seed,
                settings,
                device=flow.device,
                after_pass=after_pass,
            )
            return self._decode(latents)

    def _decode(self, latents: torch.Tensor) -> NDArray[np.uint8]:
        from napari_pathfm.generators._autoencoder import to_uint8

        images = self._flow.decode(latents.float())
        pixels: NDArray[np.uint8] = to_uint8(images)[0].cpu().numpy()
        return pixels
