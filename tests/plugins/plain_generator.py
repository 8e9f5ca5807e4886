"""A generator whose network is a formula: tiles and areas in milliseconds."""

from __future__ import annotations

import torch

from napari_pathfm.generators import LatentFlow, generator_spec


class PlainGenerator:
    """Noise, shaded by the condition's first numbers."""

    def __init__(self) -> None:
        self.spec = generator_spec("bundled")
        self.revision = "test:plain"
        self.passes = 0

    def flow(self, on_step=None):
        return LatentFlow(
            network=self._velocity,
            encode=lambda images: images[:, :, ::8, ::8],
            decode=self._decode,
            channels=3,
            side=28,
            downsample=8,
            device=torch.device("cpu"),
        )

    def generate(self, condition, **asked):
        from napari_pathfm.generators._flow_generator import FlowGenerator

        whole = FlowGenerator(self.spec, self.revision, self.flow())
        return whole.generate(condition, **asked)

    def _velocity(self, x, t, condition, drop):
        self.passes += len(x)
        told = torch.zeros(len(x), 3) if condition is None else condition[:, :3]
        # Depends on the neighbours too, as a convolution does.
        around = torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
        return around - told[:, :, None, None]

    def _decode(self, latents):
        return latents.mul(0.3).repeat_interleave(8, 2).repeat_interleave(8, 3)
