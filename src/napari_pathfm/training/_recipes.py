"""The bundled weights' recipes by name, each with a TOML file that says its figures."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.training._fields import Crops
    from napari_pathfm.training._loop import Recipe


def train(
    recipe: str, data: Path | None, runs: Path, *, config: Path | None = None
) -> None:
    """Run one recipe, or go on with it where it stopped.

    Parameters
    ----------
    recipe : {"encoder", "autoencoder", "generator"}
        The generator needs the other two finished below ``runs``.
    data : Path
        Folder with ``slides`` and ``tiles`` (`_bundled_data`).
    runs : Path
        Folder of the runs; each keeps its log and checkpoints in its own.
    config : Path, optional
        TOML; by default the one that made the bundled weights.

    Raises
    ------
    PathfmError
        If the data or an earlier run is missing, or the config is damaged.
    """
    from napari_pathfm.training._loop import Schedule, run

    if data is None or not data.is_dir():
        raise PathfmError(f"no training data at {data}: give its folder with --data")
    settings = read_config(recipe, config)
    schedule = dict(settings["schedule"])
    every = schedule.pop("every")
    made = _RECIPES[recipe](settings["data"], data, runs)
    run(made, Schedule(**schedule), runs / _RUN[recipe], every=every)


def read_config(recipe: str, path: Path | None = None) -> dict[str, Any]:
    """Read a recipe's settings.

    Raises
    ------
    PathfmError
        If the file is missing or is no TOML with the two tables.
    """
    folder = resources.files("napari_pathfm.training") / "configs"
    try:
        text = (path or folder / f"{recipe}.toml").read_text(encoding="utf-8")
        settings = tomllib.loads(text)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise PathfmError(
            f"{path or recipe} is no training config ({error})"
        ) from error
    if missing := {"data", "schedule"} - settings.keys():
        raise PathfmError(f"{path or recipe} lacks the table {sorted(missing)[0]!r}")
    return settings


def _crops(settings: dict[str, Any], data: Path) -> tuple[Crops, Crops]:
    from napari_pathfm.training._bundled_data import held_out_sources, learning_sources
    from napari_pathfm.training._fields import Crops

    px, zoom = settings["crop_px"], tuple(settings["zoom"])
    learn = Crops(learning_sources(data), px, zoom=zoom)
    return learn, Crops(held_out_sources(data), px)


def _encoder(settings: dict[str, Any], data: Path, _runs: Path) -> Recipe:
    from napari_pathfm.training._distillation import Distillation

    learn, _ = _crops(settings, data)
    return Distillation(learn, n=settings["crops"], batch=settings["batch"])


def _autoencoder(settings: dict[str, Any], data: Path, _runs: Path) -> Recipe:
    from napari_pathfm.training._autoencoding import Autoencoding

    return Autoencoding(*_crops(settings, data), batch=settings["batch"])


def _generator(settings: dict[str, Any], data: Path, runs: Path) -> Recipe:
    from napari_pathfm.generators._autoencoder import Autoencoder
    from napari_pathfm.training._distillation import Student
    from napari_pathfm.training._flow_matching import FlowMatching
    from napari_pathfm.training._loop import load_averaged

    student, autoencoder = Student(), Autoencoder()
    for module, name in ((student, "encoder"), (autoencoder, "autoencoder")):
        path = runs / name / "averaged.safetensors"
        if not path.is_file():
            raise PathfmError(f"{path} is missing: train the {name} first")
        load_averaged(module, path)
    return FlowMatching(
        *_crops(settings, data),
        student,
        autoencoder,
        n=settings["crops"],
        batch=settings["batch"],
    )


_RECIPES = {
    "encoder": _encoder,
    "autoencoder": _autoencoder,
    "generator": _generator,
}
_RUN = {"encoder": "encoder", "autoencoder": "autoencoder", "generator": "denoiser"}
