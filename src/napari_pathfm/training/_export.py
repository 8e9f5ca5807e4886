"""Turn finished runs into the weight files that the package ships."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

#: The weight files, and the runs (folders) that make them.
PARTS = (
    ("encoder.safetensors", "encoder"),
    ("autoencoder.safetensors", "autoencoder"),
    ("denoiser.safetensors", "generator"),
)


def export_bundled(runs: Path, out: Path) -> list[Path]:
    """Write the half-precision weight files of every finished run below ``runs``.

    Half precision halves the wheel; the loaders compute in single precision. Running
    statistics stay in single precision, since they reach beyond half's detail. The
    header keeps the run's provenance.

    Raises
    ------
    PathfmError
        If no run has left weights there.
    """
    from safetensors import safe_open
    from safetensors.torch import load_file, save_file

    written = []
    for name, run in PARTS:
        made = runs / run / name
        if not made.is_file():
            continue
        with safe_open(made, "pt") as file:
            told = file.metadata()
        tensors = load_file(made)
        kept = {key: _halved(key, value) for key, value in tensors.items()}
        out.mkdir(parents=True, exist_ok=True)
        part = out / f"{name}.part"
        save_file(kept, part, metadata=told)
        os.replace(part, out / name)
        written.append(out / name)
    if not written:
        folders = ", ".join(run for _, run in PARTS)
        raise PathfmError(f"{runs} holds no run with weights in {folders}")
    return written


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    statistics = "running_" in key or "condition_" in key
    if value.is_floating_point() and not statistics:
        return value.half().contiguous()
    return value.contiguous()
