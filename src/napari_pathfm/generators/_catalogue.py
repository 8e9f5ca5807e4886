"""The generators by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.encoders import known_precision
from napari_pathfm.errors import PathfmError, SpecError
from napari_pathfm.generators._bundled import BUNDLED, BundledGenerator
from napari_pathfm.generators._cytosyn import CYTOSYN, CytoSyn
from napari_pathfm.generators._folder import (
    DESCRIPTION,
    FolderGenerator,
    FolderSpec,
    is_generator_folder,
    read_folder_spec,
)
from napari_pathfm.generators._pixcell import PIXCELL_256, PixCell
from napari_pathfm.weights import config_folder, spec_by_name

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.generators._generator import Generator
    from napari_pathfm.generators._spec import GeneratorSpec

GENERATORS: dict[str, GeneratorSpec] = {
    spec.name: spec for spec in (BUNDLED, CYTOSYN, PIXCELL_256)
}


def known_generators() -> tuple[dict[str, GeneratorSpec], dict[Path, SpecError]]:
    """Give every generator that has a name here, and the folders that were refused.

    Returns
    -------
    known : dict of GeneratorSpec
        The catalogue, and after it what the folders in ``generators`` of the person's
        settings (`weights.config_folder`) describe.
    refused : dict of SpecError
        Why a folder there holds none.
    """
    known: dict[str, GeneratorSpec] = dict(GENERATORS)
    refused: dict[Path, SpecError] = {}
    for folder in sorted((config_folder() / "generators").glob("*")):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        try:
            known[folder.name] = _own(folder)
        except SpecError as error:
            refused[folder] = error
    return known, refused


def _own(folder: Path) -> FolderSpec:
    """Read a folder of the settings, whose name is the generator's.

    Raises
    ------
    SpecError
        If it describes none, or one of another name.
    """
    spec = read_folder_spec(folder)
    if spec.name in GENERATORS:
        raise SpecError(
            f"{folder}: {spec.name} is a generator of the catalogue: change the name "
            f"in its {DESCRIPTION}, and the folder's"
        )
    if spec.name != folder.name:
        # Images state the name, and are to be traced back by it.
        raise SpecError(f"{folder} is called {spec.name} inside: rename the folder")
    return spec


def generator_spec(name: str | Path) -> GeneratorSpec:
    """Look a generator up.

    Parameters
    ----------
    name : str or path
        A name, a folder that ``train generator`` has published, or the name of such a
        folder in ``generators`` of the person's settings (`weights.config_folder`).

    Raises
    ------
    UnknownModelError
        Naming the generators there are.
    SpecError
        If the folder describes none, or is called otherwise than what it holds.
    """
    if name not in GENERATORS:
        if is_generator_folder(name):
            return read_folder_spec(name)
        own = config_folder() / "generators" / name
        if own.is_dir():
            return _own(own)
    known = GENERATORS if name in GENERATORS else known_generators()[0]
    return spec_by_name(known, str(name), "generator")


def load_generator(
    name: str | Path = "bundled",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
    precision: str = "auto",
) -> Generator:
    """Load a generator of the catalogue, or one that was trained here.

    Parameters
    ----------
    name : str or path
        ``"bundled"``, ``"cytosyn"``, ``"pixcell-256"``, or the folder that ``train
        generator`` has published, with ``generator.json`` in it.
    weights : path, optional
        Folder laid out as the published repository; else the package or the hub.
    device : str
        ``"auto"`` or a torch device.
    trust_remote_code : bool
        Whether the user agrees to run code that a repository brings.
    precision : str
        ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``. Half precision is for CytoSyn
        with our samplers; ``"auto"`` takes it where the device is faster in it and the
        image stays the same (docs/getting-the-models.md).

    Raises
    ------
    UnknownModelError
        If the catalogue has no such name.
    SpecError
        If the folder describes no generator, or another than it holds.
    WeightsError
        If the weights cannot be had or do not fit, or the user has not agreed.
    PathfmError
        If the generator does not run in the precision that was asked for.
    """
    spec = generator_spec(name)
    if spec is CYTOSYN:
        return CytoSyn(
            weights,
            device,
            trust_remote_code=trust_remote_code,
            precision=precision,
        )
    if known_precision(precision) not in ("auto", "fp32"):
        raise PathfmError(
            f"{spec.title} runs in fp32 only: leave out precision {precision!r}"
        )
    if isinstance(spec, FolderSpec):
        return FolderGenerator(spec, device)
    if spec is PIXCELL_256:
        return PixCell(weights, device, trust_remote_code=trust_remote_code)
    return BundledGenerator(weights, device)
