"""The encoders by name. A new one is a file beside this and a line here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_pathfm.encoders._bundled import BUNDLED
from napari_pathfm.encoders._gigapath import GIGAPATH
from napari_pathfm.encoders._h0mini import H0_MINI
from napari_pathfm.encoders._hoptimus import H_OPTIMUS_0, H_OPTIMUS_1
from napari_pathfm.encoders._phikon import PHIKON, PHIKON_V2
from napari_pathfm.encoders._uni import UNI, UNI2_H
from napari_pathfm.encoders._virchow2 import VIRCHOW2
from napari_pathfm.weights import cached_file, downloaded

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.encoders._spec import EncoderSpec

ENCODERS: dict[str, EncoderSpec] = {
    spec.name: spec
    for spec in (
        BUNDLED,
        H0_MINI,
        PHIKON,
        PHIKON_V2,
        H_OPTIMUS_0,
        H_OPTIMUS_1,
        UNI,
        UNI2_H,
        VIRCHOW2,
        GIGAPATH,
    )
}


def default_encoder(folder: str | Path | None = None) -> str:
    """Name H0-mini as soon as its weights are on this machine, else the bundled one.

    Parameters
    ----------
    folder : path, optional
        Of downloaded repositories; see `weights.downloaded`.
    """
    here = downloaded(H0_MINI, folder) is not None
    if not here and H0_MINI.hub_repo is not None:
        name, revision = H0_MINI.weight_files[0], H0_MINI.hub_revision
        here = cached_file(H0_MINI.hub_repo, name, revision=revision) is not None
    return H0_MINI.name if here else BUNDLED.name
