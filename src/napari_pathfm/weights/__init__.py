"""Find, check and explain weights: bundled, in a local folder, on the hub."""

from napari_pathfm.weights._causes import ADVICE, Cause
from napari_pathfm.weights._check import Check, Diagnosis, check_lines
from napari_pathfm.weights._config import CONFIG_VARIABLE, config_folder
from napari_pathfm.weights._doctor import diagnose, diagnose_machine, model_status
from napari_pathfm.weights._downloads import downloaded
from napari_pathfm.weights._files import (
    bundled_path,
    digest,
    load_strict,
    local_file,
    read_tensors,
)
from napari_pathfm.weights._hub import cached_file, hub_file, hub_folder
from napari_pathfm.weights._spec import ModelSpec, spec_by_name

__all__ = [
    "ADVICE",
    "CONFIG_VARIABLE",
    "Cause",
    "Check",
    "Diagnosis",
    "ModelSpec",
    "bundled_path",
    "cached_file",
    "check_lines",
    "config_folder",
    "diagnose",
    "diagnose_machine",
    "digest",
    "downloaded",
    "hub_file",
    "hub_folder",
    "load_strict",
    "local_file",
    "model_status",
    "read_tensors",
    "spec_by_name",
]
