"""An encoder with its weights, ready to look at tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.encoders._batches import Batches
from napari_pathfm.encoders._forward import Forward
from napari_pathfm.encoders._precision import Precision
from napari_pathfm.encoders._spec import POOLINGS
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from napari_pathfm.encoders._engine import Run
    from napari_pathfm.encoders._spec import EncoderSpec

# Tiles that go through at once to begin with. Small batches keep a CPU's caches warm;
# more gave nothing (docs/performance.md). A GPU needs enough to be busy; one with too
# little memory for them is found out (`Batches`).
_BATCH = {"cpu": 8, "cuda": 128, "mps": 32}


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
        With its weights loaded, in ``precision``.
    revision : str
        Which features these are: origin and first 12 hex digits of the weights'
        SHA-256; after a ``+`` what else decides them: the digest of a person's own
        description, OpenVINO, and a precision other than fp32.
    device : torch.device
        Where to run.
    pooling : str, optional
        The spec's own where not given.
    precision : Precision, optional
        What `settle` found; single precision where not given.
    engine : {"torch", "compile", "openvino"}
        What computes it.
    run : callable, optional
        The engine's, where it is not the network itself.

    Attributes
    ----------
    pooling : str
        What stands for a tile in a store; one of `POOLINGS`.
    feature_dim : int
        Length of that vector.
    precision : Precision
        In which it runs, and why.
    engine : str
        What computes it.
    """

    def __init__(
        self,
        spec: EncoderSpec,
        network: torch.nn.Module,
        revision: str,
        device: torch.device,
        pooling: str | None = None,
        precision: Precision | None = None,
        engine: str = "torch",
        run: Run | None = None,
    ) -> None:
        self.spec = spec
        self.revision = revision
        self.device = device
        self.pooling = known_pooling(pooling or spec.pooling)
        self.feature_dim = spec.dim * len(self.pooling.split("+"))
        self.precision = precision or Precision()
        self._network = network.to(device).eval().requires_grad_(False)
        self.engine = engine
        self._forward = Forward(spec, self._network, run)
        tiles = _BATCH.get(device.type, _BATCH["cpu"])
        self._batches = Batches(
            tiles * spec.tile_px**2, lambda: _free_cached(device.type)
        )

    def encode(self, tiles: NDArray[np.uint8], *, patches: bool = True) -> Features:
        """Encode RGB tiles, or whole fields.

        As many go through at once as the device takes: a batch that does not fit into
        its memory is tried again as two.

        Parameters
        ----------
        tiles : ndarray
            uint8 ``(N, H, W, 3)``, normally ``H = W = spec.tile_px`` at
            ``spec.mpp``; other sizes must be multiples of ``spec.patch_px``, to which
            the position embedding is interpolated.

        patches : bool
            Whether the patch tokens are wanted: they are a few hundred times as much
            to bring over from a graphics card. Without, `Features.patches` is empty.

        Returns
        -------
        Features
            CLS and patch tokens after the final norm.

        Raises
        ------
        PathfmError
            If the tiles are of another shape or type, or one alone does not fit into
            memory.
        """
        self._check(tiles)
        rows, columns = (side // self.spec.patch_px for side in tiles.shape[1:3])
        cls = np.empty((len(tiles), self.spec.dim), np.float32)
        kept = len(tiles) if patches else 0
        grid = np.empty((kept, rows, columns, self.spec.dim), np.float32)
        pooled = cls
        if self.pooling == "cls+mean":
            pooled = np.empty((len(tiles), self.feature_dim), np.float32)
        for span, tokens in self._batches.run(self._forward.tokens, tiles):
            # Carried over in the network's own precision, half the bytes it may be.
            cls[span] = tokens[:, 0].cpu().float().numpy()
            seen = tokens[:, self.spec.prefix_tokens :]
            if pooled is not cls:
                mean = seen.float().mean(1)
                pooled[span] = np.concatenate([cls[span], mean.cpu().numpy()], 1)
            if patches:
                grid[span] = seen.cpu().float().numpy().reshape(-1, *grid.shape[1:])
        return Features(cls, grid, pooled)

    def _check(self, tiles: NDArray[np.uint8]) -> None:
        patch = self.spec.patch_px
        if tiles.ndim != 4 or tiles.shape[3] != 3 or tiles.dtype != np.uint8:
            raise PathfmError(
                f"{self.spec.name} encodes uint8 tiles of shape (N, H, W, 3), "
                f"not {tiles.dtype} {tiles.shape}"
            )
        if any(side % patch or not side for side in tiles.shape[1:3]):
            raise PathfmError(
                f"{self.spec.name} needs tiles with sides of multiples of {patch} px, "
                f"not {tiles.shape[1]} x {tiles.shape[2]}"
            )


def known_pooling(pooling: str) -> str:
    """Give the name back, or refuse it."""
    if pooling not in POOLINGS:
        raise PathfmError(f"no pooling {pooling!r}: choose {' or '.join(POOLINGS)}")
    return pooling


def _free_cached(device: str) -> None:
    """Give a GPU's memory back that PyTorch keeps for later."""
    import torch

    if device == "cuda":
        torch.cuda.empty_cache()
    elif device == "mps":
        torch.mps.empty_cache()
