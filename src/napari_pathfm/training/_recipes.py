"""The recipes by name, and running one."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pathfm.errors import PathfmError
from napari_pathfm.training._config import build, override, read_toml, shipped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_pathfm.training._recipe import Recipe


@dataclass(frozen=True)
class Entry:
    """A recipe that can be asked for.

    Attributes
    ----------
    title : str
        What it makes, for people.
    module : str
        Module of `napari_pathfm.training` that has the two names below; imported when
        the recipe is asked for.
    config : str
        Dataclass of the config, with the tables ``run`` and ``machine``; one of another
        module as ``"_module.Name"``.
    build : str
        Function ``(config, root) -> Recipe``; ``root`` is what paths are relative to.
    """

    title: str
    module: str
    config: str
    build: str

    def named(self, name: str) -> Any:
        """Import what `config` or `build` names."""
        module, _, own = name.rpartition(".")
        where = f"napari_pathfm.training.{module or self.module}"
        return getattr(import_module(where), own)


RECIPES = {
    "encoder-distillation": Entry(
        "an encoder that learns what a frozen one sees (DINO and iBOT, or features)",
        "_encoder_distilled",
        "_encoder_config.DistilConfig",
        "build",
    ),
    "encoder-dinov2": Entry(
        "an encoder without labels or teacher (DINOv2)",
        "_encoder_dinov2",
        "_encoder_config.DinoConfig",
        "build",
    ),
    "autoencoder": Entry(
        "an autoencoder, for a generator to begin with",
        "_repae_config",
        "AutoencoderConfig",
        "autoencoder",
    ),
    "generator": Entry(
        "a generator: a latent flow aligned with an encoder, by REPA-E",
        "_repae_config",
        "GeneratorConfig",
        "generator",
    ),
}


def listing() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Give every recipe's title, and the names of the configs that come for it."""
    made: dict[str, list[str]] = {name: [] for name in RECIPES}
    for name in shipped():
        made[read_toml(name)["recipe"]].append(name)
    return {name: (RECIPES[name].title, tuple(made[name])) for name in RECIPES}


def read_config(
    recipe: str, config: str | Path | None = None, settings: Sequence[str] = ()
) -> Any:
    """Read and check a recipe's config.

    Parameters
    ----------
    recipe : str
        One of `listing`.
    config : path or str, optional
        A file, or the name of one that comes with the program; the recipe's first by
        default.
    settings : sequence of str
        ``table.key=value`` each, which go before what the config says.

    Returns
    -------
    object
        The recipe's own dataclass.

    Raises
    ------
    PathfmError
        In one line that names the key and what it may be.
    """
    if recipe not in RECIPES:
        raise PathfmError(
            f"there is no recipe {recipe!r}: there are {', '.join(RECIPES)}"
        )
    if config is None:
        config = listing()[recipe][1][0]
    told = read_toml(config)
    override(told, settings)
    stated = told.pop("recipe", recipe)
    if stated != recipe:
        raise PathfmError(f"{config} is a config for {stated}, not for {recipe}")
    entry = RECIPES[recipe]
    kind = entry.named(entry.config)
    return build(kind, told, f"{config}: ")


def train(
    recipe: str,
    out: Path,
    *,
    config: str | Path | None = None,
    data: Path | None = None,
    settings: Sequence[str] = (),
) -> None:
    """Run a recipe, or go on with it where it stopped.

    Parameters
    ----------
    recipe, config, settings
        See `read_config`.
    out : Path
        Folder of the run; what is in it decides whether this begins or goes on.
    data : Path, optional
        What the config's paths are relative to; the current folder by default.

    Raises
    ------
    PathfmError
        If the config, the data or a part is missing or damaged, the folder holds
        another run, or the loss is not finite any more.
    """
    read = read_config(recipe, config, settings)
    root = Path() if data is None else data
    if not root.is_dir():
        raise PathfmError(f"no training data at {root}: give its folder with --data")

    import torch

    from napari_pathfm.training._loop import run
    from napari_pathfm.training._ranks import joined

    entry = RECIPES[recipe]
    make = entry.named(entry.build)
    with joined(read.machine.device) as ranks:
        torch.manual_seed(read.run.seed)
        made: Recipe = make(read, root)
        started = {"recipe": recipe, "config": dataclasses.asdict(read)}
        run(made, read.run, out, ranks, started)
