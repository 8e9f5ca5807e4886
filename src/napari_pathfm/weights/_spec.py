"""What every entry of a catalogue states, whatever the model does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from napari_pathfm.errors import UnknownModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Name, origin and licence of a model, and the field of view it works on.

    Attributes
    ----------
    name : str
        Name in the catalogue, on the command line and in stores.
    title : str
        Name for people.
    tile_px, mpp : int, float
        Side of a tile in pixels and the micrometres per pixel it was trained at.
    licence : str
        Short name of the weights' licence.
    gated : bool
        Whether the hub asks for permission first.
    hub_repo, hub_revision : str or None
        Where the published weights are, and the commit that was checked.
    access_page : str or None
        Where a person asks for permission.
    citation : str
        The paper, or the model card.
    notice : str
        What must be said wherever the model is offered.
    weight_files : tuple of str
        File names to look for in the repository, best first; ``model_index.json``
        stands for the whole repository in diffusers' layout.
    bundled : tuple of str
        The files that come with the plugin, all of which are needed.
    local_weights : Path or None
        A folder or file that the entry itself names, as a person's own does.
    """

    name: str
    title: str
    tile_px: int
    mpp: float
    licence: str
    gated: bool = False
    hub_repo: str | None = None
    hub_revision: str | None = None
    access_page: str | None = None
    citation: str = ""
    notice: str = ""
    weight_files: tuple[str, ...] = ("model.safetensors", "pytorch_model.bin")
    bundled: tuple[str, ...] = ()
    local_weights: Path | None = None

    def check_tensors(self, tensors: Mapping[str, Tensor], path: Path) -> bool:
        """Refuse tensors that are not this model's, before anything is loaded.

        Parameters
        ----------
        tensors : dict of Tensor
            What a weight file holds, perhaps on the meta device.
        path : Path
            The file, for the message.

        Returns
        -------
        bool
            Whether anything could be told; a model whose architecture stands in its
            own folder cannot.

        Raises
        ------
        WeightsError
            Naming the misfits.
        """
        return False


Spec = TypeVar("Spec", bound=ModelSpec)


def spec_by_name(catalogue: Mapping[str, Spec], name: str, kind: str) -> Spec:
    """Look a model up.

    Raises
    ------
    UnknownModelError
        Naming the models there are.
    """
    try:
        return catalogue[name]
    except KeyError:
        raise UnknownModelError(
            f"no {kind} is called {name!r}: choose one of {', '.join(catalogue)}"
        ) from None
