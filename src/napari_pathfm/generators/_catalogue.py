"""The generators by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.generators._bundled import BUNDLED, BundledGenerator
from napari_pathfm.generators._cytosyn import CYTOSYN, CytoSyn
from napari_pathfm.generators._pixcell import PIXCELL_256, PixCell
from napari_pathfm.weights import spec_by_name

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.generators._generator import Generator
    from napari_pathfm.generators._spec import GeneratorSpec

GENERATORS: dict[str, GeneratorSpec] = {
    spec.name: spec for spec in (BUNDLED, CYTOSYN, PIXCELL_256)
}


def generator_spec(name: str) -> GeneratorSpec:
    """Look a generator up.

    Raises
    ------
    UnknownModelError
        Naming the generators there are.
    """
    return spec_by_name(GENERATORS, name, "generator")


def load_generator(
    name: str = "bundled",
    *,
    weights: str | Path | None = None,
    device: str = "auto",
    trust_remote_code: bool = False,
) -> Generator:
    """Load a generator of the catalogue.

    Parameters
    ----------
    name : str
        ``"bundled"``, ``"cytosyn"``, ``"pixcell-256"``.
    weights : path, optional
        Folder laid out as the published repository; else the package or the hub.
    device : str
        ``"auto"`` or a torch device.
    trust_remote_code : bool
        Whether the user agrees to run code that a repository brings.

    Raises
    ------
    UnknownModelError
        If the catalogue has no such name.
    WeightsError
        If the weights cannot be had or do not fit, or the user has not agreed.
    """
    spec = generator_spec(name)
    if spec is CYTOSYN:
        return CytoSyn(weights, device, trust_remote_code=trust_remote_code)
    if spec is PIXCELL_256:
        return PixCell(weights, device, trust_remote_code=trust_remote_code)
    return BundledGenerator(weights, device)
