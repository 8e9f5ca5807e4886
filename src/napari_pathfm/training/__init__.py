"""The recipes that make models: one loop, a config for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.training._recipes import listing, read_config, train

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["export_bundled", "listing", "read_config", "train"]


def export_bundled(runs: Path, out: Path) -> list[Path]:
    """Write the weight files of every finished run below ``runs``."""
    from napari_pathfm.training._export import export_bundled

    return export_bundled(runs, out)
