"""An encoder with its weights, ready to look at tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.encoders._spec import POOLINGS
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_pathfm.encoders._spec import EncoderSpec

# Small batches keep a CPU's caches warm; more gave nothing (docs/performance.md).
_BATCH = 8


@dataclass(frozen=True)
class Features:
    """What an encoder says of ``N`` tiles.

    Attributes
    ----------
    cls : ndarray
        float32 ``(N, D)``: one vector a tile.
    patches : ndarray
        float32 ``(N, h, w, D)``: one vector a patch.
    pooled : ndarray
        float32 ``(N, P)``: what stands for a tile in a store, by `Encoder.pooling`.
    """

    cls: NDArray[np.float32]
    patches: NDArray[np.float32]
    pooled: NDArray[np.float32]


class Encoder:
    """A vision transformer on a device. `load_encoder` makes one.

    Parameters
    ----------
    spec : EncoderSpec
        The catalogue's entry.
    network : VisionTransformer
        With its weights loaded.
    revision : str
        Which weights these are: origin and first 12 hex digits of their SHA-256.
    device : torch.device
        Where to run.
    pooling : str, optional
        The spec's own where not given.

    Attributes
    ----------
    pooling : str
        What stands for a tile in a store; one of `POOLINGS`.
    feature_dim : int
        Length of that vector.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        network: torch.nn.Module,
        revision: str,
        device: torch.device,
        pooling: str | None = None,
    ) -> None:
        import torch

        self.spec = spec
        self.revision = revision
        self.device = device
        self.pooling = known_pooling(pooling or spec.pooling)
        self.feature_dim = spec.dim * len(self.pooling.split("+"))
        self._network = network.to(device).eval().requires_grad_(False)
        as_image = (1, 3, 1, 1)
        # Folded into one multiplication and one addition on uint8 values.
        std = torch.tensor(spec.std, device=device).view(as_image)
        mean = torch.tensor(spec.mean, device=device).view(as_image)
        self._gain, self._offset = 1 / (255 * std), mean / std

    def encode(self, tiles: NDArray[np.uint8]) -> Features:
        """Encode RGB tiles.

        Parameters
        ----------
        tiles : ndarray
            uint8 ``(N, H, W, 3)``, normally ``H = W = spec.tile_px`` at
            ``spec.mpp``; other sizes must be multiples of ``spec.patch_px``.

        Returns
        -------
        Features
            CLS and patch tokens after the final norm.

        Raises
        ------
        PathfmError
            If the tiles are of another shape or type.
        """
        import torch

        self._check(tiles)
        rows, columns = (side // self.spec.patch_px for side in tiles.shape[1:3])
        cls = np.empty((len(tiles), self.spec.dim), np.float32)
        patches = np.empty((len(tiles), rows, columns, self.spec.dim), np.float32)
        with torch.inference_mode():
            for start in range(0, len(tiles), _BATCH):
                part = np.ascontiguousarray(tiles[start : start + _BATCH])
                batch = torch.from_numpy(part).to(self.device).permute(0, 3, 1, 2)
                tokens = self._network(batch * self._gain - self._offset)
                tokens = tokens.float().cpu().numpy()
                stop = start + len(part)
                cls[start:stop] = tokens[:, 0]
                grid = tokens[:, self.spec.prefix_tokens :]
                patches[start:stop] = grid.reshape(-1, rows, columns, self.spec.dim)
        pooled = cls
        if self.pooling == "cls+mean":
            pooled = np.concatenate([cls, patches.mean((1, 2))], axis=1)
        return Features(cls, patches, pooled)

    def _check(self, tiles: NDArray[np.uint8]) -> None:
        patch = self.spec.patch_px
        if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
            raise PathfmError(
                f"{self.spec.name} encodes uint8 tiles of shape (N, H, W, 3), "
                f"not {tiles.dtype} {tiles.shape}"
            )
        if tiles.shape[1] % patch or tiles.shape[2] % patch:
            raise PathfmError(
                f"{self.spec.name} needs tiles with sides of multiples of {patch} px, "
                f"not {tiles.shape[1]} x {tiles.shape[2]}"
            )


def known_pooling(pooling: str) -> str:
    """Give the name back, or refuse it."""
    if pooling not in POOLINGS:
        raise PathfmError(f"no pooling {pooling!r}: choose {' or '.join(POOLINGS)}")
    return pooling
