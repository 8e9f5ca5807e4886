"""What the frozen encoder says of tiles, and what is remembered of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from napari_pathfm.encoders import encoder_spec, load_encoder
from napari_pathfm.errors import PathfmError
from napari_pathfm.training._repae_losses import tokens_on
from napari_pathfm.training._repae_step import Seen

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.training._repae_config import EncoderTable
    from napari_pathfm.training._turn import Turn

_CHOSEN = 25  # stream of `Turn.sample`


class Guide:
    """The encoder that gives conditions and tokens to align with.

    Parameters
    ----------
    table : EncoderTable
        ``[encoder]`` of a config.
    tile_px : int
        Of the tiles it will be shown.

    Raises
    ------
    PathfmError
        If it cannot be loaded, or takes no tiles of that size.
    """

    def __init__(self, table: EncoderTable, tile_px: int) -> None:
        self._table = table
        self.spec = encoder_spec(table.name)
        if tile_px % self.spec.patch_px:
            raise PathfmError(
                f"data.tile_px = {tile_px} is no multiple of the patches of "
                f"{self.spec.title}, {self.spec.patch_px} px"
            )
        self._encoder = self._load("cpu", "fp32")
        self.revision = self._encoder.revision

    def place(self, device: torch.device) -> None:
        """Move onto the device, in the fastest precision that is faithful there."""
        if device.type != "cpu":
            self._encoder = self._load(str(device), "auto")

    def _load(self, device: str, precision: str) -> Encoder:
        weights = self._table.weights
        return load_encoder(
            self.spec, weights=weights, device=device, precision=precision
        )

    def see(self, pixels: NDArray[np.uint8], side: int, device: torch.device) -> Seen:
        """Give CLS, and tokens on a lattice of ``side``, of uint8 ``(N, h, w, 3)``."""
        # In its own precision, whatever the training around it runs in.
        with torch.autocast(device.type, enabled=False):
            found = self._encoder.encode(pixels)
        cls = torch.from_numpy(found.cls).to(device)
        patches = torch.from_numpy(found.patches).to(device)
        return Seen(cls, tokens_on(patches, side))


@dataclass(frozen=True)
class Remembered:
    """Raw latents ``(n, C, h, w)`` and what the encoder said, in half precision."""

    z: Tensor
    cls: Tensor
    tokens: Tensor

    @classmethod
    def of(cls, parts: list[tuple[Tensor, Seen]]) -> Remembered:
        """Put portions together."""
        return cls(
            torch.cat([z.half().cpu() for z, _ in parts]),
            torch.cat([seen.cls.cpu() for _, seen in parts]),
            torch.cat([seen.tokens.half().cpu() for _, seen in parts]),
        )

    def draw(self, turn: Turn, device: torch.device) -> tuple[Tensor, Seen]:
        """Draw the samples of a turn."""
        n = len(self.z)
        index: Any = torch.tensor(
            [int(turn.sample(i, _CHOSEN).integers(n)) for i in range(turn.size)]
        )
        seen = Seen(self.cls[index].to(device), self.tokens[index].float().to(device))
        return self.z[index].float().to(device), seen
