"""Encoders that a person described: in their own folder, or in a file anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from napari_pathfm.encoders._catalogue import ENCODERS
from napari_pathfm.encoders._spec_file import SUFFIXES, read_encoder_spec
from napari_pathfm.errors import SpecError
from napari_pathfm.weights import config_folder, spec_by_name

if TYPE_CHECKING:
    from napari_pathfm.encoders._spec import EncoderSpec


def known_encoders() -> tuple[dict[str, EncoderSpec], dict[Path, SpecError]]:
    """Give every encoder that has a name here, and the files that were refused.

    Returns
    -------
    known : dict of EncoderSpec
        The catalogue, and after it what the files in the folder ``encoders`` of the
        person's settings (`weights.config_folder`) describe.
    refused : dict of SpecError
        Why a file of that folder describes none.
    """
    known, refused = dict(ENCODERS), {}
    for path in sorted((config_folder() / "encoders").glob("*")):
        if path.suffix not in SUFFIXES:
            continue
        try:
            spec = read_encoder_spec(path, taken=known)
        except SpecError as error:
            refused[path] = error
        else:
            known[spec.name] = spec
    return known, refused


def encoder_spec(name: str | Path) -> EncoderSpec:
    """Look an encoder up.

    Parameters
    ----------
    name : str or path
        A name, or a file that describes an encoder.

    Raises
    ------
    UnknownModelError
        Naming the encoders there are.
    SpecError
        If the file describes none.
    """
    if isinstance(name, Path) or name.endswith(SUFFIXES):
        return read_encoder_spec(name, taken=ENCODERS)
    if name in ENCODERS:
        return ENCODERS[name]
    known, refused = known_encoders()
    if name not in known:
        for path, error in refused.items():
            if path.stem == name:
                raise error
    return spec_by_name(known, name, "encoder")
