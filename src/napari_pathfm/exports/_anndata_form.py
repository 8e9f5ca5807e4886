"""AnnData's form on disk, in an HDF5 group or a Zarr group.

As https://anndata.readthedocs.io/en/stable/fileformat-prose.html describes it: an
``encoding-type`` and an ``encoding-version`` on every element. Both libraries' groups
are taken; they differ in how text and lists of words are written.
"""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray


def mark(element: Any, kind: str, version: str = "0.2.0") -> None:
    """Say what an element is."""
    element.attrs.update({"encoding-type": kind, "encoding-version": version})


def put_array(group: Any, name: str, values: NDArray[Any]) -> None:
    """Write numbers of any shape."""
    if _is_zarr(group):
        made = group.create_array(name, data=values)
    else:
        made = group.create_dataset(name, data=values)
    mark(made, "array")


def put_frame(
    group: Any, name: str, index: Sequence[str], columns: Mapping[str, Any]
) -> None:
    """Write a table: numbers as arrays, words as categories, "" as missing."""
    frame = group.create_group(name)
    mark(frame, "dataframe")
    # A slash would make groups within groups.
    named = {key.replace("/", "_"): values for key, values in columns.items()}
    frame.attrs["_index"] = "_index"
    if _is_zarr(group):
        frame.attrs["column-order"] = list(named)
    else:
        frame.attrs.create("column-order", list(named), dtype=_hdf5_string())
    _strings(frame, "_index", index)
    for key, values in named.items():
        column = np.asarray(values)
        if column.dtype.kind in "biuf":
            put_array(frame, key, column)
        else:
            _categories(frame, key, values)


def put_mapping(
    group: Any, name: str, entries: Mapping[str, Any], *, nested: Sequence[str] = ()
) -> None:
    """Write a dictionary; what is neither array nor plain becomes JSON.

    Parameters
    ----------
    group : h5py.Group or zarr.Group
    name : str
    entries : mapping
    nested : sequence of str
        Keys whose dictionaries become dictionaries rather than JSON.
    """
    made = group.create_group(name)
    mark(made, "dict", "0.1.0")
    for key, value in entries.items():
        if isinstance(value, np.ndarray):
            put_array(made, key, value)
        elif isinstance(value, dict) and key in nested:
            put_mapping(made, key, value)
        elif isinstance(value, bool | int | float):
            _scalar(made, key, value)
        else:
            text = value if isinstance(value, str) else json.dumps(value)
            _text(made, key, text)


def _is_zarr(group: Any) -> bool:
    return hasattr(group, "create_array")


def _hdf5_string() -> Any:
    return import_module("h5py").string_dtype()


def _scalar(group: Any, name: str, value: float) -> None:
    if _is_zarr(group):
        made = group.create_array(name, data=np.asarray(value))
    else:
        made = group.create_dataset(name, data=value)
    mark(made, "numeric-scalar")


def _text(group: Any, name: str, value: str) -> None:
    if _is_zarr(group):
        made = group.create_array(name, shape=(), dtype=str)
        made[...] = value
    else:
        made = group.create_dataset(name, data=value, dtype=_hdf5_string())
    mark(made, "string")


def _strings(group: Any, name: str, values: Sequence[str]) -> None:
    text = np.asarray(list(values), object)
    if _is_zarr(group):
        made = group.create_array(name, shape=text.shape, dtype=str)
        made[...] = text
    else:
        made = group.create_dataset(name, data=text, dtype=_hdf5_string())
    mark(made, "string-array")


def _categories(group: Any, name: str, values: Sequence[Any]) -> None:
    """Write words as AnnData writes a categorical; what is empty is missing."""
    known = sorted({str(value) for value in values if value})
    numbers = {word: number for number, word in enumerate(known)}
    made = group.create_group(name)
    mark(made, "categorical")
    made.attrs["ordered"] = False
    codes = [numbers[str(value)] if value else -1 for value in values]
    put_array(made, "codes", np.asarray(codes, np.int32))
    _strings(made, "categories", known)
