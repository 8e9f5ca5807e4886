"""A generator in a folder of its own, as ``train generator`` writes it.

``generator.json`` says what it is, ``denoiser.safetensors`` and
``autoencoder.safetensors`` are its weights. Nothing in such a folder is run.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm import weights as weight_files
from napari_pathfm.errors import SpecError
from napari_pathfm.generators._flow_generator import FlowGenerator
from napari_pathfm.generators._spec import GeneratorSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


#: The file that makes a folder a generator.
DESCRIPTION = "generator.json"
_FORMAT = "napari-pathfm generator"
_AUTOENCODER, _DENOISER = "autoencoder.safetensors", "denoiser.safetensors"
_SAMPLERS = ("heun", "euler", "dpm", "sde")
# What each kind of part has to say of its shape that its tensors do not.
_PARTS = {
    "denoiser": {"sit": "heads", "unet": "widths"},
    "autoencoder": {"kl": "groups", "plain": "widths"},
}
# What a description says of the model, and what kind of value it has.
_SAID: dict[str, type | tuple[type, ...]] = {
    "name": str,
    "title": str,
    "encoder": str,
    "condition_dim": int,
    "tile_px": int,
    "mpp": (int, float),
    "steps": int,
    "guidance": (int, float),
    "guidance_interval": list,
    "samplers": list,
    "fast": list,
    "licence": str,
    "citation": str,
    "notice": str,
    "denoiser": dict,
    "autoencoder": dict,
}


@dataclass(frozen=True, kw_only=True)
class FolderSpec(GeneratorSpec):
    """A generator in a folder; see `GeneratorSpec` for the rest.

    Attributes
    ----------
    folder : Path
    denoiser : dict
        ``kind`` ``"sit"`` with ``heads``, or ``"unet"`` with ``widths``.
    autoencoder : dict
        ``kind`` ``"kl"`` (diffusers' AutoencoderKL) with ``groups``, or ``"plain"``
        (the bundled one's) with ``widths``.
    """

    folder: Path
    denoiser: dict[str, Any]
    autoencoder: dict[str, Any]

    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this generator's; see `ModelSpec`."""
        from napari_pathfm.generators._folder_parts import autoencoder_of, denoiser_of

        part = autoencoder_of if path.name == _AUTOENCODER else denoiser_of
        part(self, tensors, path)
        return True


def is_generator_folder(name: str | Path) -> bool:
    """Whether this is to be looked up on the disk rather than in the catalogue."""
    if Path(name).is_file():
        # A description of an encoder, which the doctor was asked about.
        return False
    if isinstance(name, Path) or "/" in name or "\\" in name:
        return True
    return (Path(name) / DESCRIPTION).is_file()


def read_folder_spec(folder: str | Path) -> FolderSpec:
    """Read what a folder says of its generator.

    Raises
    ------
    SpecError
        In one line that names the file and the key.
    """
    folder = Path(folder).expanduser()
    path = folder / DESCRIPTION
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SpecError(
            f"{path} cannot be read ({error}): give a folder that "
            "napari-pathfm train generator has published"
        ) from error
    if not isinstance(told, dict) or told.get("format") != _FORMAT:
        raise SpecError(f"{path} describes no generator: its format is not {_FORMAT!r}")
    for key, kind in _SAID.items():
        if not isinstance(told.get(key), kind) or isinstance(told.get(key), bool):
            raise SpecError(f"{path}: {key}: missing, or of another kind than it is")
    for key, kinds in _PARTS.items():
        shape = kinds.get(str(told[key].get("kind")))
        if shape is None:
            raise SpecError(f"{path}: {key}: its kind is one of {', '.join(kinds)}")
        if not _fits(shape, told[key].get(shape)):
            raise SpecError(f"{path}: {key}: {shape}: missing, or none that there is")
    told = {key: _frozen(told[key]) for key in _SAID}
    _check_values(path, told)
    # A person's own encoder lies where its path says, seen from here.
    if told["encoder"].endswith((".toml", ".json")):
        told["encoder"] = str(folder / told["encoder"])
    return FolderSpec(
        **told,
        folder=folder,
        local_weights=folder,
        weight_files=(),
        bundled=(_AUTOENCODER, _DENOISER),
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check_values(path: Path, told: dict[str, Any]) -> None:
    """Refuse what no generator has."""
    positive = ("condition_dim", "tile_px", "mpp", "steps")
    for key in positive:
        if not told[key] > 0:
            raise SpecError(f"{path}: {key}: {told[key]} is not above zero")
    if not told["samplers"] or not set(told["samplers"]) <= set(_SAMPLERS):
        raise SpecError(f"{path}: samplers: choose among {', '.join(_SAMPLERS)}")
    fast, interval = told["fast"], told["guidance_interval"]
    if len(fast) != 2 or fast[0] not in told["samplers"] or not _whole(fast[1]):
        raise SpecError(f"{path}: fast: give one of its samplers and a number of steps")
    numbers = len(interval) == 2 and all(isinstance(v, int | float) for v in interval)
    if not numbers or not 0 <= interval[0] <= interval[1] <= 1:
        raise SpecError(f"{path}: guidance_interval: give two times from 0 to 1")


def _fits(shape: str, value: Any) -> bool:
    """Whether a part can be built so: three widths that their norms can share out."""
    if shape != "widths":
        return _whole(value)
    three = isinstance(value, list) and len(value) == 3
    return three and all(_whole(width) and not width % 8 for width in value)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def describe(spec: FolderSpec, provenance: dict[str, Any]) -> str:
    """Give the text of ``generator.json``, which `read_folder_spec` reads."""
    own = {f.name: getattr(spec, f.name) for f in fields(spec) if f.name in _SAID}
    told = {"format": _FORMAT, **own, "provenance": provenance}
    return json.dumps(told, indent=1) + "\n"


class FolderGenerator(FlowGenerator):
    """The generator in a folder.

    Parameters
    ----------
    spec : FolderSpec
        From `read_folder_spec`.
    device : str
        See `load_encoder`.

    Raises
    ------
    WeightsError
        If a weight file is missing or does not fit.
    """

    def __init__(self, spec: FolderSpec, device: str = "auto") -> None:
        from napari_pathfm.generators._folder_parts import flow_of

        paths = [
            weight_files.local_file(spec.folder, (name,), spec.title)
            for name in (_AUTOENCODER, _DENOISER)
        ]
        flow = flow_of(spec, paths[0], paths[1], device)
        super().__init__(spec, f"local:{weight_files.digest(*paths)}", flow)
