"""The generators by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.encoders import known_precision
from napari_pathfm.errors import PathfmError
from napari_pathfm.generators._bundled import BUNDLED, BundledGenerator
from napari_pathfm.generators._cytosyn import CYTOSYN, CytoSyn
from napari_pathfm.generators._folder import (
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
        If the folder describes none.
    """
    if name not in GENERATORS:
        if is_generator_folder(name):
            return read_folder_spec(name)
        own = config_folder() / "generators" / name
        if own.is_dir():
            return read_folder_spec(own)
    return spec_by_name(GENERATORS, str(name), "generator")


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
