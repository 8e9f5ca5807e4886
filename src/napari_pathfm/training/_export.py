"""Turn finished runs into the weight files that the package ships."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

#: The weight files, the runs (folders) that make them, and what these call the file.
PARTS = (
    ("encoder.safetensors", "encoder", "encoder.safetensors"),
    ("encoder.safetensors", "encoder", "averaged.safetensors"),
    ("autoencoder.safetensors", "autoencoder", "autoencoder.safetensors"),
    ("denoiser.safetensors", "generator", "denoiser.safetensors"),
)
# Before the names of what is kept, in the files of `bundled-encoder`.
_ENCODER = "vit."


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
    for name, run, called in PARTS:
        made = runs / run / called
        if not made.is_file():
            continue
        with safe_open(made, "pt") as file:
            told = file.metadata()
        tensors = load_file(made)
        if called != name:  # heads that only training needs are left out
            tensors = {
                key.removeprefix(_ENCODER): value
                for key, value in tensors.items()
                if key.startswith(_ENCODER)
            }
        kept = {key: _halved(key, value) for key, value in tensors.items()}
        out.mkdir(parents=True, exist_ok=True)
        part = out / f"{name}.part"
        save_file(kept, part, metadata=told)
        os.replace(part, out / name)
        written.append(out / name)
    if not written:
        folders = ", ".join(dict.fromkeys(run for _, run, _ in PARTS))
        raise PathfmError(f"{runs} holds no run with weights in {folders}")
    return written


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    statistics = "running_" in key or "condition_" in key
    if value.is_floating_point() and not statistics:
        return value.half().contiguous()
    return value.contiguous()
