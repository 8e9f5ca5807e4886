"""Where weights are: a folder, a file, the hub's cache, or inside the package."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.errors import WeightsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


def bundled_path(name: str) -> Path:
    """Path of one of the weight files that come with the plugin.

    Raises
    ------
    WeightsError
        If this installation lacks the file.
    """
    path = Path(str(resources.files("napari_pathfm.weights") / "bundled" / name))
    if not path.is_file():
        raise WeightsError(
            f"the bundled weights {name} are missing from this installation: "
            "install napari-pathfm again"
        )
    return path


def local_file(weights: str | Path, names: Sequence[str], model: str) -> Path:
    """Find a model's weight file in what the user gave.

    Parameters
    ----------
    weights : path
        The file itself, or a folder laid out as the published repository.
    names : sequence of str
        File names to look for in a folder, best first.
    model : str
        For the message.

    Raises
    ------
    WeightsError
        If there is no such file.
    """
    path = Path(weights).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise WeightsError(f"no weights for {model}: {path} does not exist")
    for name in names:
        if (path / name).is_file():
            return path / name
    raise WeightsError(
        f"no weights for {model}: {path} holds none of {', '.join(names)}; "
        "give the folder of the downloaded repository"
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a state dict from safetensors, or from a pickle that holds tensors only.

    Raises
    ------
    WeightsError
        If the file is damaged or of another kind.
    """
    import pickle
    import warnings

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        # Torch warns of pickles written by other programs; what it cannot read safely
        # it refuses, and that is said below.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            tensors = torch.load(path, map_location="cpu", weights_only=True)
    except (
        SafetensorError,
        pickle.UnpicklingError,
        RuntimeError,
        OSError,
        EOFError,
    ) as e:
        reason = str(e).strip().splitlines()[0] if str(e).strip() else type(e).__name__
        raise WeightsError(
            f"{path} cannot be read as weights ({reason}): download it again"
        ) from e
    if not isinstance(tensors, dict):
        raise WeightsError(f"{path} holds no state dict")
    return tensors


def load_strict(
    module: nn.Module, tensors: Mapping[str, Tensor], *, model: str, path: Path
) -> None:
    """Fill a module with exactly the tensors it has, in single precision.

    The module may stand on the meta device, which saves the time of initialising it.

    Raises
    ------
    WeightsError
        Naming every kind of misfit: missing, unexpected, misshapen.
    """
    own = module.state_dict()
    misfits = []
    if missing := [name for name in own if name not in tensors]:
        misfits.append(f"{len(missing)} missing ({_some(missing)})")
    if extra := [name for name in tensors if name not in own]:
        misfits.append(f"{len(extra)} unexpected ({_some(extra)})")
    misshapen = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(own[name].shape)}"
        for name in own
        if name in tensors and tensors[name].shape != own[name].shape
    ]
    if misshapen:
        misfits.append(f"{len(misshapen)} misshapen ({_some(misshapen)})")
    if misfits:
        raise WeightsError(
            f"{path} does not fit {model}: tensors {'; '.join(misfits)}: "
            "give the weights published for this model"
        )
    single = {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}
    module.load_state_dict(single, assign=True)


def _some(names: Sequence[str], most: int = 3) -> str:
    shown = ", ".join(names[:most])
    return f"{shown}, ..." if len(names) > most else shown


def digest(*paths: Path) -> str:
    """First 12 hex digits of the SHA-256 of files, read in order."""
    total = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                total.update(block)
    return total.hexdigest()[:12]
