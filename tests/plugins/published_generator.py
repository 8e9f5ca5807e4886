"""A generator's folder as ``train generator`` leaves it, with the bundled weights."""

from __future__ import annotations

from dataclasses import fields
from shutil import copyfile

from napari_pathfm.generators import GENERATORS
from napari_pathfm.generators._folder import FolderSpec, describe
from napari_pathfm.weights import bundled_path


def publish(folder, name):
    """Write the folder of a generator of this name."""
    folder.mkdir(parents=True)
    for part in ("autoencoder", "denoiser"):
        file = f"{part}.safetensors"
        copyfile(bundled_path(file), folder / file)
    bundled = GENERATORS["bundled"]
    said = {f.name: getattr(bundled, f.name) for f in fields(bundled)}
    said |= {"name": name, "title": "Made here", "folder": folder}
    said["denoiser"] = {"kind": "unet", "widths": [64, 128, 224]}
    said["autoencoder"] = {"kind": "plain", "widths": [48, 96, 160]}
    (folder / "generator.json").write_text(describe(FolderSpec(**said), {}))
