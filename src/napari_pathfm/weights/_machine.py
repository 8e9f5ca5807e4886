"""Whether this machine has the disk, the memory and the device for a model."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.weights._causes import Cause
from napari_pathfm.weights._check import Check, against, passed

if TYPE_CHECKING:
    from napari_pathfm.weights._spec import ModelSpec

GIB = 1 << 30
# Models are held in single precision at the most (4 bytes a parameter). While one is
# loaded, a file of half-precision weights may stand beside it (2 bytes a parameter);
# after that a batch's activations need less than those did.
_BYTES_A_PARAMETER = 4
_LOADING = 1.5
# PyTorch with its libraries; on a GPU, CUDA's context and cuBLAS's workspace.
_RUNTIME = GIB // 2
# A model above this takes seconds a tile on a CPU; below, a slide is a coffee break.
_MANY_PARAMETERS = 200_000_000


def needed_memory(parameters: int) -> int:
    """Estimate the bytes that a model needs while it is loaded.

    Parameters
    ----------
    parameters : int
        Its parameter count.
    """
    return int(parameters * _BYTES_A_PARAMETER * _LOADING) + _RUNTIME


def check_disk(spec: ModelSpec | None, size: int) -> Check:
    """Look for room in the hub's cache.

    Parameters
    ----------
    spec : ModelSpec or None
        For the words.
    size : int
        Bytes that would be downloaded.
    """
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    there = _existing(cache)
    if not there.is_dir() or not os.access(there, os.W_OK):
        return against("disk", Cause.NOT_WRITABLE, spec, str(there))
    free = shutil.disk_usage(there).free
    if free < size:
        detail = f"{gib(free)} free at {cache}, {gib(size)} needed"
        return against("disk", Cause.NO_DISK, spec, detail)
    wanted = f", {gib(size)} to download" if size else ""
    return passed("disk", f"{gib(free)} free at {cache}{wanted}")


def check_memory(spec: ModelSpec | None, parameters: int | None) -> Check:
    """Compare the memory that is free with what the model needs.

    Parameters
    ----------
    spec : ModelSpec or None
        For the words.
    parameters : int or None
        Parameter count, if it is known.
    """
    import psutil

    free = int(psutil.virtual_memory().available)
    if parameters is None:
        return passed("memory", f"{gib(free)} free")
    needed = needed_memory(parameters)
    says = f"{gib(free)} free, about {gib(needed)} needed"
    if free < needed:
        return against("memory", Cause.NO_MEMORY, spec, says)
    return passed("memory", says)


def check_device(
    spec: ModelSpec | None, parameters: int | None, device: str = "auto"
) -> Check:
    """Look at the device that the model would run on; imports torch.

    Parameters
    ----------
    spec : ModelSpec or None
        For the words.
    parameters : int or None
        Parameter count, if it is known.
    device : str
        As for `load_encoder`.
    """
    import torch

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
        if device == "cpu" and torch.backends.mps.is_available():
            device = "mps"
        if device == "cpu":
            return _cpu(spec, parameters)
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError, NotImplementedError):
        return against("device", Cause.NO_DEVICE, spec, device)
    if chosen.type == "cpu":
        return passed("device", f"the CPU, {torch.get_num_threads()} threads")
    if chosen.type != "cuda":
        return passed("device", str(chosen))
    free, total = torch.cuda.mem_get_info(chosen)
    name = torch.cuda.get_device_name(chosen)
    says = f"{name}, {gib(free)} of {gib(total)} free"
    if parameters is not None and free < (needed := needed_memory(parameters)):
        detail = f"{says}, about {gib(needed)} needed"
        return against("device", Cause.GPU_TOO_SMALL, spec, detail)
    return passed("device", says)


def gib(size: float) -> str:
    """Write bytes for people."""
    return (
        f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / (1 << 20):.0f} MiB"
    )


def _cpu(spec: ModelSpec | None, parameters: int | None) -> Check:
    import torch

    detail = f"{torch.get_num_threads()} threads"
    if spec is None or (parameters is not None and parameters >= _MANY_PARAMETERS):
        return against("device", Cause.NO_GPU, spec, detail, outcome="noted")
    return passed("device", f"the CPU, {detail}")


def _existing(path: Path) -> Path:
    """Go up to what exists."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path
