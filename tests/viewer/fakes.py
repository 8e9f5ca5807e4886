"""Models that answer at once, with the contracts' signatures and nothing learned."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.encoders import ENCODERS, Features
from napari_pathfm.errors import WeightsError
from napari_pathfm.generators import (
    GENERATORS,
    LatentFlow,
    Provenance,
    SyntheticImage,
)
from napari_pathfm.viewer.session import Models

if TYPE_CHECKING:
    from numpy.typing import NDArray


class FakeEncoder:
    """Sees the mean colour of each tile's quarters, repeated to the right length."""

    def __init__(self, batch_s: float = 0.0) -> None:
        self.spec = ENCODERS["bundled"]
        self.revision = "fake:0123456789ab"
        self.device = "cpu"
        self.engine = "torch"
        self.pooling = self.spec.pooling
        self.feature_dim = self.spec.dim
        self.batch_s = batch_s
        self.batches = 0

    def encode(self, tiles: NDArray[np.uint8], *, patches: bool = True) -> Features:
        time.sleep(self.batch_s)
        self.batches += 1
        half = tiles.shape[1] // 2
        quarters = [
            tiles[:, i : i + half, j : j + half].mean((1, 2))
            for i in (0, half)
            for j in (0, half)
        ]
        seen = np.concatenate(quarters, axis=1).astype(np.float32) / 255 - 0.8
        cls = np.tile(seen, (1, self.spec.dim // seen.shape[1]))
        patches = np.zeros((len(tiles), 16, 16, self.spec.dim), np.float32)
        return Features(cls, patches, cls)


class FakeGenerator:
    """Draws frames: a border of one pixel in a colour of its own for each seed."""

    def __init__(self, step_s: float = 0.0) -> None:
        self.spec = GENERATORS["bundled"]
        self.revision = "fake:ba9876543210"
        self.step_s = step_s
        self.calls: list[dict[str, Any]] = []
        self.conditions: list[NDArray[np.float32] | None] = []

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
        on_step: Any = None,
    ) -> list[SyntheticImage]:
        from napari_pathfm.generators._generator import tell

        steps = self.spec.steps if steps is None else steps
        guidance = self.spec.guidance if guidance is None else guidance
        self.conditions.append(condition)
        self.calls.append(
            {
                "n": n,
                "seed": seed,
                "steps": steps,
                "guidance": guidance,
                "preset": preset,
            }
        )
        images = []
        for i in range(n):
            pixels = frame(self.spec.tile_px, seed + i)
            for step in range(1, steps + 1):
                time.sleep(self.step_s)
                share = step / steps
                preview = (pixels * share + 127 * (1 - share)).astype(np.uint8)
                tell(on_step, i * steps + step, n * steps, preview)
            images.append(SyntheticImage(pixels, self._provenance(seed + i, steps)))
        return images

    def flow(self, on_step: Any = None) -> LatentFlow:
        """Goes to grey; its autoencoder averages 8 x 8 pixels."""
        from napari_pathfm.viewer._imports import import_models

        # As the real models do: PyTorch beside a canvas needs care.
        import_models()
        import torch
        from torch.nn.functional import avg_pool2d, interpolate

        def network(x: Any, t: Any, condition: Any, drop: Any) -> Any:
            time.sleep(self.step_s)
            return x / t.view(-1, 1, 1, 1)

        return LatentFlow(
            network=network,
            encode=lambda images: avg_pool2d(images, 8),
            decode=lambda latents: interpolate(latents, scale_factor=8),
            channels=3,
            side=self.spec.tile_px // 8,
            downsample=8,
            device=torch.device("cpu"),
            engine="fake",
        )

    def _provenance(self, seed: int, steps: int) -> Provenance:
        return Provenance(
            generator=self.spec.name,
            generator_revision=self.revision,
            sampler="fake",
            steps=steps,
            guidance=self.spec.guidance,
            guidance_interval=self.spec.guidance_interval,
            seed=seed,
            mpp=self.spec.mpp,
            condition_sha256="0" * 64,
            notice=self.spec.notice,
            software="tests",
        )


def frame(side: int, seed: int) -> NDArray[np.uint8]:
    """A grey tile with a 4 px coloured border and a cross through its centre."""
    pixels = np.full((side, side, 3), 200, np.uint8)
    colour = np.array([(255, 0, 0), (0, 255, 0), (0, 0, 255)][seed % 3], np.uint8)
    pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:] = (colour,) * 4
    pixels[side // 2 - 1 : side // 2 + 1] = colour
    pixels[:, side // 2 - 1 : side // 2 + 1] = colour
    return pixels


class FakeModels(Models):
    """The catalogue's names, and fakes behind them."""

    def __init__(self, *, batch_s: float = 0.0, step_s: float = 0.0) -> None:
        super().__init__()
        self.fake_encoder = FakeEncoder(batch_s)
        self.fake_generator = FakeGenerator(step_s)
        self.broken: str | None = None
        self.loads = 0
        self.trusted: bool | None = None

    def prepare(self) -> None:
        pass

    def prepare_models(self) -> None:
        pass

    def loaded_encoder(self, name: str) -> Any:
        return self.fake_encoder if self.loads else None

    def encoder(self, name: str) -> Any:
        if self.broken:
            raise WeightsError(self.broken)
        self.loads += 1
        return self.fake_encoder

    def generator(self, name: str, *, trust_remote_code: bool = False) -> Any:
        if self.broken:
            raise WeightsError(self.broken)
        self.trusted = trust_remote_code
        return self.fake_generator
