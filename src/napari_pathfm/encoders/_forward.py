"""uint8 tiles in, tokens out: normalised and computed on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from napari_pathfm.encoders._spec import EncoderSpec


class Forward:
    """A network in one precision on one device.

    Parameters
    ----------
    spec : EncoderSpec
        For the normalisation.
    network : Module
        With its weights, on the device and in its precision; not changed.
    run : callable, optional
        What computes the network's tokens in its place; see `napari_pathfm.encoders`'s
        engines.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        network: torch.nn.Module,
        run: Callable[[torch.Tensor], torch.Tensor] | None = None,
    ) -> None:
        import torch

        some = next(network.parameters())
        self.device, self.dtype = some.device, some.dtype
        self._run = run or network
        as_image = (1, 3, 1, 1)
        # One multiplication and one subtraction on uint8 values, in single precision.
        # Folding them into the patch embedding would save under 1 % of the time
        # (docs/performance.md) and cost precision in bfloat16.
        std = torch.tensor(spec.std, device=self.device).view(as_image)
        mean = torch.tensor(spec.mean, device=self.device).view(as_image)
        self._gain, self._offset = 1 / (255 * std), mean / std

    def images(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Put tiles on the device, normalised: ``(N, 3, H, W)`` in the precision."""
        import torch

        raw = torch.from_numpy(np.ascontiguousarray(tiles))
        if self.device.type == "cuda":
            raw = raw.pin_memory()
        on_device = raw.to(self.device, non_blocking=True).permute(0, 3, 1, 2)
        return (on_device * self._gain).sub_(self._offset).to(self.dtype)

    def tokens(self, tiles: NDArray[np.uint8]) -> torch.Tensor:
        """Compute every token: ``(N, prefix + h * w, D)``, left on the device."""
        import torch

        with torch.inference_mode():
            return self._run(self.images(tiles))

    def __call__(self, tiles: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Compute every token: float32 ``(N, prefix + h * w, D)``."""
        found: NDArray[np.float32] = self.tokens(tiles).cpu().float().numpy()
        return found
