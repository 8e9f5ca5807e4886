"""A folder in which a person keeps the repositories that were downloaded by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import WeightsError

if TYPE_CHECKING:
    from napari_pathfm.weights._spec import ModelSpec

#: Names that folder, for the shell and for the viewer alike.
VARIABLE = "NAPARI_PATHFM_WEIGHTS"


def downloaded(spec: ModelSpec, folder: str | Path | None = None) -> Path | None:
    """Find a model where its entry says, or in the folder of downloaded repositories.

    Parameters
    ----------
    spec : ModelSpec
        The catalogue's entry.
    folder : path, optional
        Holds a folder per model, called by its name in the catalogue (``h0-mini``) or
        as its repository is (``H0-mini``, ``bioptimus/H0-mini``), or one file
        ``h0-mini.safetensors``. By default what ``NAPARI_PATHFM_WEIGHTS`` names.

    Returns
    -------
    Path or None
        The model's folder or file; None where there is none, or no such folder is set.

    Raises
    ------
    WeightsError
        The folder is set and does not exist.
    """
    if spec.local_weights is not None:
        return spec.local_weights
    told = folder or os.environ.get(VARIABLE)
    if not told:
        return None
    root = Path(told).expanduser()
    if not root.is_dir():
        raise WeightsError(
            f"the folder of downloaded weights {root} does not exist: correct "
            f"{VARIABLE} or the preference, or make it"
        )
    names = [spec.name, f"{spec.name}.safetensors"]
    if spec.hub_repo is not None:
        names += [spec.hub_repo.rpartition("/")[2], spec.hub_repo]
    return next((root / name for name in names if (root / name).exists()), None)
