"""Which files a model is made of on this machine, and which of them are not there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.weights._hub import cached_file

if TYPE_CHECKING:
    from napari_pathfm.weights._spec import ModelSpec

#: The list of parts at the head of a repository in diffusers' layout.
INDEX = "model_index.json"
# What diffusers calls the weights of a part, best first; transformers' own name last.
_PART_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.bin",
    "model.safetensors",
    "pytorch_model.bin",
)
_PART_CONFIGS = (
    "config.json",
    "scheduler_config.json",
    "preprocessor_config.json",
    "tokenizer_config.json",
)


@dataclass(frozen=True)
class Place:
    """The files of a model.

    Attributes
    ----------
    folder : Path
        Where they are, or would be.
    weights : tuple of Path
        Weight files that exist.
    configs : tuple of Path
        JSON files that exist.
    missing : tuple of str
        What is not there, by its name in the repository.
    """

    folder: Path
    weights: tuple[Path, ...] = ()
    configs: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether there is all that the model needs."""
        return bool(self.weights) and not self.missing


def bundled_place(spec: ModelSpec) -> Place:
    """Find the files that come with the plugin."""
    folder = Path(str(resources.files("napari_pathfm.weights") / "bundled"))
    return _all_of(folder, spec.bundled)


def local_place(spec: ModelSpec, weights: str | Path) -> Place:
    """Find a model's files in the folder, or the file, that a person gave."""
    path = Path(weights).expanduser()
    if INDEX in spec.weight_files:
        return _parts(path)
    if path.is_file():
        return Place(path.parent, weights=(path,))
    if not spec.weight_files:
        return _all_of(path, spec.bundled)
    return _any_of(path, spec.weight_files)


def cached_place(spec: ModelSpec) -> Place | None:
    """Find a model's files in the hub's cache; None where there is nothing of it."""
    if spec.hub_repo is None:
        return None
    for name in spec.weight_files:
        found = cached_file(spec.hub_repo, name, revision=spec.hub_revision)
        if found is not None:
            return (
                _parts(found.parent) if name == INDEX else Place(found.parent, (found,))
            )
    return None


def unfinished(spec: ModelSpec) -> bool:
    """Whether a download of the model was begun and never finished."""
    from huggingface_hub import constants

    if spec.hub_repo is None:
        return False
    # As huggingface_hub names the folder of a model in its cache.
    name = "--".join(["models", *spec.hub_repo.split("/")])
    blobs = Path(constants.HF_HUB_CACHE) / name / "blobs"
    return any(blobs.glob("*.incomplete"))


def _all_of(folder: Path, names: tuple[str, ...]) -> Place:
    there = tuple(folder / name for name in names if (folder / name).is_file())
    missing = tuple(name for name in names if not (folder / name).is_file())
    return Place(folder, weights=there, missing=missing)


def _any_of(folder: Path, names: tuple[str, ...]) -> Place:
    for name in names:
        if (folder / name).is_file():
            return Place(folder, weights=(folder / name,))
    return Place(folder, missing=(" or ".join(names),))


def _parts(folder: Path) -> Place:
    """Follow the index to each part's config and weights."""
    index = folder / INDEX
    if not index.is_file():
        return Place(folder, missing=(INDEX,))
    parts = _read_index(index)
    if parts is None:  # damaged, which is found and said where files are read
        return Place(folder, configs=(index,))
    weights: list[Path] = []
    configs: list[Path] = [index]
    missing: list[str] = []
    for name, kind in parts.items():
        part = folder / name
        config = next((part / c for c in _PART_CONFIGS if (part / c).is_file()), None)
        if config is None:
            missing.append(f"{name}/{_PART_CONFIGS['scheduler' in kind.lower()]}")
            continue
        configs.append(config)
        # Schedulers, tokenizers and processors have a config and no weights.
        if config.name != _PART_CONFIGS[0]:
            continue
        there, absent = _part_weights(part)
        weights += there
        missing += [f"{name}/{one}" for one in absent]
    return Place(folder, tuple(weights), tuple(configs), tuple(missing))


def _read_index(index: Path) -> dict[str, str] | None:
    """Give each part's class, or None where the file is damaged."""
    try:
        told = json.loads(index.read_text(encoding="utf-8"))
        return {
            name: str(entry[1])
            for name, entry in told.items()
            if isinstance(entry, list)
            and not name.startswith("_")
            and len(entry) == 2
            and entry[1] is not None
        }
    except (OSError, ValueError, AttributeError):
        return None


def _part_weights(part: Path) -> tuple[list[Path], list[str]]:
    """Find the weights of a part, whole or in shards."""
    for index in sorted(part.glob("*.safetensors.index.json")):
        try:
            shards = set(json.loads(index.read_text())["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError):
            return [], [index.name]
        names = sorted(str(shard) for shard in shards)
        there = [part / name for name in names if (part / name).is_file()]
        return there, [name for name in names if not (part / name).is_file()]
    for name in _PART_WEIGHTS:
        if (part / name).is_file():
            return [part / name], []
    return [], [_PART_WEIGHTS[0]]
