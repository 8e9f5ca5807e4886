"""Turn finished runs into the weight files that the package ships."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    import torch

#: Weight file, the run that made it, and the part of the run's module that is kept.
PARTS = (
    ("encoder.safetensors", "encoder", "vit."),
    ("autoencoder.safetensors", "autoencoder", ""),
    ("denoiser.safetensors", "generator", "unet."),
)


def export_bundled(runs: Path, out: Path) -> list[Path]:
    """Write the half-precision weight files of every finished run below ``runs``.

    Half precision halves the wheel; the loaders compute in single precision. Running
    statistics stay in single precision, since they reach beyond half's detail.
    """
    written = []
    out.mkdir(parents=True, exist_ok=True)
    for name, run, prefix in PARTS:
        averaged = runs / run / "averaged.safetensors"
        if not averaged.is_file():
            continue
        kept = {
            key.removeprefix(prefix): _halved(key, value)
            for key, value in load_file(averaged).items()
            if key.startswith(prefix)
        }
        part = out / f"{name}.part"
        save_file(kept, part, metadata={"format": "pt", "recipe": run})
        os.replace(part, out / name)
        written.append(out / name)
    return written


def _halved(key: str, value: torch.Tensor) -> torch.Tensor:
    statistics = "running_" in key or "condition_" in key
    if value.is_floating_point() and not statistics:
        return value.half().contiguous()
    return value.contiguous()
