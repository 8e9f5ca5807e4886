"""An encoder without a network: what tests need of one, and cluster workers load."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from napari_pathfm.encoders import EncoderSpec, Features, encoder_spec
from napari_pathfm.errors import WeightsError


class Colours:
    """Sees a tile's mean colour, repeated.

    Parameters
    ----------
    batch_s : float
        How long a batch takes.
    revision : str
        Of weights that there are none of.
    """

    def __init__(self, batch_s: float = 0.0, revision: str = "test:colours") -> None:
        self.spec = encoder_spec("bundled")
        self.revision, self.pooling = revision, "cls"
        self.engine, self.device = "torch", "cpu"
        self.feature_dim = self.spec.dim
        self._batch_s = batch_s

    def encode(self, tiles, *, patches=True):
        time.sleep(self._batch_s)
        seen = np.repeat(tiles.mean((1, 2)), self.feature_dim // 3, axis=1)
        seen = seen.astype(np.float32) / 255
        side = 16
        patches = np.broadcast_to(
            seen[:, None, None], (len(seen), side, side, self.feature_dim)
        )
        return Features(seen, patches, seen)


@dataclass(frozen=True)
class ColoursRecipe:
    """Loads it on a worker."""

    batch_s: float = 0.0
    differ: bool = False
    broken: bool = False

    @property
    def spec(self) -> EncoderSpec:
        return encoder_spec("bundled")

    def load(self, place: object) -> Colours:
        if self.broken:
            raise WeightsError("there are no weights on this worker")
        return Colours(self.batch_s, f"test:{place}" if self.differ else "test:colours")


class PatchColours(Colours):
    """Sees the mean colour of each patch, about grey; counts the tiles it was given."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.tiles = 0

    def encode(self, tiles, *, patches=True):
        self.tiles += len(tiles)
        time.sleep(self._batch_s)
        n, px = len(tiles), self.spec.patch_px
        side = self.spec.tile_px // px
        blocks = tiles.reshape(n, side, px, side, px, 3).mean((2, 4)) / 255 - 0.6
        found = np.repeat(blocks, self.feature_dim // 3, axis=-1).astype(np.float32)
        cls = found.mean((1, 2))
        return Features(cls, found, cls)
