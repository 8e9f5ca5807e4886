"""Where a model runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    import torch


def choose_device(name: str = "auto") -> torch.device:
    """Turn a name into a device: ``"auto"`` prefers CUDA, then MPS, then the CPU.

    Raises
    ------
    PathfmError
        If the device does not exist on this machine.
    """
    import torch

    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise PathfmError(
            f"no device {name!r} on this machine: use cpu, cuda, mps or auto"
        ) from error
    return device
