"""Whether weight files are whole, and whose they are, without loading them."""

from __future__ import annotations

import json
import pickle
import warnings
from typing import TYPE_CHECKING

from napari_pathfm.weights._causes import Cause, Finding
from napari_pathfm.weights._explain import line_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from torch import Tensor

_LFS = b"version https://git-lfs.github.com/spec/"
# A header of this many bytes is no header: H-optimus-0's has about 70 kB.
_MOST_HEADER = 100_000_000


class Unreadable(Exception):
    """A file is not what it should be; carries the finding."""

    def __init__(self, cause: Cause, detail: str) -> None:
        super().__init__(detail)
        self.finding = Finding(cause, detail)


def read_shapes(path: Path) -> Mapping[str, Tensor]:
    """Read names, shapes and types of a weight file's tensors.

    Returns
    -------
    dict of Tensor
        On the meta device: shapes without values.

    Raises
    ------
    Unreadable
        If the file is cut short, damaged, of another kind, or a pickle with code in it.
    """
    try:
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise Unreadable(Cause.CORRUPT, line_of(error)) from error
    if not head:
        raise Unreadable(Cause.PARTIAL, f"{path} is empty")
    if head.startswith(_LFS):
        raise Unreadable(Cause.LFS_POINTER, str(path))
    if head.lstrip().lower().startswith((b"<!doctype", b"<html")):
        raise Unreadable(Cause.CORRUPT, f"{path} is a web page")
    if path.suffix == ".safetensors":
        return _safetensors(path)
    return _pickled(path)


def read_config(path: Path) -> None:
    """Read a JSON file.

    Raises
    ------
    Unreadable
        If it is no JSON object.
    """
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Unreadable(Cause.CORRUPT, f"{path}: {line_of(error)}") from error
    if not isinstance(told, dict):
        raise Unreadable(Cause.CORRUPT, f"{path} holds no JSON object")


def _safetensors(path: Path) -> dict[str, Tensor]:
    import torch
    from safetensors import SafetensorError, safe_open

    promised = _promised_size(path)
    size = path.stat().st_size
    if promised is not None and promised > size:
        raise Unreadable(Cause.PARTIAL, f"{path} has {size:,} bytes of {promised:,}")
    try:
        with safe_open(path, framework="pt") as file:
            kinds = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
            return {
                name: torch.empty(
                    piece.get_shape(), dtype=_dtype(piece.get_dtype()), device="meta"
                )
                for name, piece in kinds.items()
            }
    except (SafetensorError, OSError) as error:
        raise Unreadable(Cause.CORRUPT, f"{path}: {line_of(error)}") from error


def _dtype(name: str) -> torch.dtype:
    """Say a type of safetensors in torch's words; for the check only kinds count."""
    import torch

    known = {"F64": torch.float64, "F16": torch.float16, "BF16": torch.bfloat16}
    integers = {"I64": torch.int64, "I32": torch.int32, "U8": torch.uint8}
    return (known | integers).get(name, torch.float32)


def _promised_size(path: Path) -> int | None:
    """Size of the file by its own header, or None where there is no header.

    A safetensors file begins with the length of its header (8 bytes, little-endian),
    and the JSON of the header, whose ``data_offsets`` count from its end.
    """
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= _MOST_HEADER:
            return None
        header = file.read(length)
    if len(header) < length:
        # A header begins with a brace; anything else was never one.
        return 8 + length if header.startswith(b"{") else None
    try:
        entries = json.loads(header)
        ends = [
            int(entry["data_offsets"][1])
            for name, entry in entries.items()
            if name != "__metadata__"
        ]
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        return None
    return 8 + length + max(ends, default=0)


def _pickled(path: Path) -> Mapping[str, Tensor]:
    import torch

    try:
        # Torch warns of pickles written by other programs; what it cannot read safely
        # it refuses.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tensors = torch.load(path, map_location="meta", weights_only=True)
    except pickle.UnpicklingError as error:
        if "weights_only" in str(error) or "Unsupported" in str(error):
            raise Unreadable(Cause.UNSAFE_PICKLE, str(path)) from error
        raise Unreadable(Cause.CORRUPT, f"{path}: {line_of(error)}") from error
    except (RuntimeError, OSError, EOFError, ValueError, KeyError) as error:
        cut = isinstance(error, EOFError) or "central directory" in str(error)
        if cut:
            raise Unreadable(Cause.PARTIAL, f"{path} ends too early") from error
        raise Unreadable(Cause.CORRUPT, f"{path}: {line_of(error)}") from error
    if not isinstance(tensors, dict):
        raise Unreadable(Cause.CORRUPT, f"{path} holds no state dict")
    return {k: v for k, v in tensors.items() if isinstance(v, torch.Tensor)}
