"""Expression of genes at spots from an AnnData file, without the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._layouts import require_h5py

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


# Of a dense matrix, read at a time.
_ROWS = 1000


def read_expression(
    path: Path, barcodes: Sequence[str], genes: Sequence[str]
) -> NDArray[np.float64]:
    """Read counts of some genes at some spots.

    Parameters
    ----------
    path : Path
        ``.h5ad``: ``X`` dense, CSR or CSC, names in the indices of ``obs`` and ``var``.
    barcodes, genes : sequence of str
        Which, in the order of the answer.

    Returns
    -------
    ndarray
        float64 ``(spots, genes)``, as they stand in ``X``.

    Raises
    ------
    PathfmError
        If the file is damaged, lacks a barcode or a gene, has one twice, or holds what
        is no count.
    """
    h5py = require_h5py()
    try:
        with h5py.File(path, "r") as file:
            spots = _rows(path, "barcode", _index(file["obs"]), barcodes)
            columns = _rows(path, "gene", _index(file["var"]), genes)
            found = _columns(file["X"], columns)[spots]
    # h5py raises many kinds for a file that is cut short or of another layout.
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise PathfmError(f"{path} is no AnnData file, or it is damaged") from error
    except IndexError as error:
        raise PathfmError(
            f"{path} is damaged: X has fewer spots or genes than there are names"
        ) from error
    if not np.isfinite(found).all() or (found < 0).any():
        raise PathfmError(f"{path} holds numbers in X that are no counts")
    return found


def texts(values: NDArray[Any]) -> list[str]:
    """Turn bytes or str, in whatever shape, into a list of str."""
    flat = np.asarray(values).reshape(-1).tolist()
    return [v.decode("utf-8") if isinstance(v, bytes) else str(v) for v in flat]


def _index(frame: Any) -> list[str]:
    name = frame.attrs.get("_index", "_index")
    kept = frame[name.decode() if isinstance(name, bytes) else str(name)]
    if hasattr(kept, "keys"):  # a categorical
        categories = texts(kept["categories"][()])
        return [categories[code] for code in kept["codes"][()].tolist()]
    return texts(kept[()])


def _rows(
    path: Path, what: str, known: Sequence[str], wanted: Sequence[str]
) -> NDArray[np.int64]:
    at = {name: row for row, name in enumerate(known)}
    lost = [name for name in wanted if name not in at]
    if lost:
        raise PathfmError(
            f"{path} lacks {len(lost)} of {len(wanted)} {what}s, {lost[0]!r} first: "
            "do patches, expression and gene list belong together?"
        )
    if len(at) < len(known):
        twice = {name for name in wanted if known.count(name) > 1}
        if twice:
            raise PathfmError(f"{path} has the {what} {min(twice)!r} more than once")
    return np.asarray([at[name] for name in wanted], np.int64)


def _columns(x: Any, columns: NDArray[np.int64]) -> NDArray[np.float64]:
    """Give some columns of ``X``, float64 ``(spots, genes)``."""
    if hasattr(x, "shape"):
        # There may be 20,000 genes: not all of them at once.
        parts = [
            x[start : start + _ROWS][:, columns] for start in range(0, len(x), _ROWS)
        ]
        return np.concatenate(parts).astype(np.float64)
    from scipy import sparse

    kind = x.attrs.get("encoding-type", x.attrs.get("h5sparse_format"))
    kind = kind.decode() if isinstance(kind, bytes) else str(kind)
    shape = tuple(x.attrs["shape" if "shape" in x.attrs else "h5sparse_shape"])
    make = {"csr": sparse.csr_matrix, "csc": sparse.csc_matrix}[kind[:3]]
    whole = make((x["data"][()], x["indices"][()], x["indptr"][()]), shape=shape)
    return np.asarray(whole[:, columns].toarray(), np.float64)
