"""The generators by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.encoders import known_precision
from napari_pathfm.errors import PathfmError
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
    precision: str = "auto",
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
    precision : str
        ``"auto"``, ``"fp32"``, ``"bf16"`` or ``"fp16"``. Half precision is for CytoSyn
        with our samplers; ``"auto"`` takes it where the device is faster in it and the
        image stays the same (docs/getting-the-models.md).

    Raises
    ------
    UnknownModelError
        If the catalogue has no such name.
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
    if spec is PIXCELL_256:
        return PixCell(weights, device, trust_remote_code=trust_remote_code)
    return BundledGenerator(weights, device)
