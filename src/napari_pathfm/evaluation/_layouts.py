"""Sets of registered slides as they lie on disk: PLISM's layouts, and our stores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError, StoreError
from napari_pathfm.evaluation._registered import Registered, name_conditions
from napari_pathfm.evaluation._tiles import encode_tiles, encoder_facts, fit, onward

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.encoders import Encoder

#: Columns before the features in a ``features.npy``: level, x, y.
COORDINATES = 3

# What must agree before features of stores are compared, in the words of the message.
_COMPARABLE = {
    "encoder": "encoder",
    "weights_revision": "weights",
    "pooling": "pooling",
    "mpp": "tile mpp",
    "tile_px": "tile size",
    "icc_applied": "use of the colour profile",
}


def plism_features(folder: Path, *, table: Path | None = None) -> Registered:
    """Open features as plism-benchmark keeps them: ``SLIDE/features.npy``.

    Raises
    ------
    PathfmError
        If a file is damaged, or the places are not the same on every slide.
    """
    files = sorted(folder.glob("*/features.npy"))
    conditions = name_conditions([file.parent.name for file in files], table)
    first = _features(files[0])
    for file in files[1:]:
        other = _features(file)
        if other.shape != first.shape or not np.allclose(
            other[:, :COORDINATES], first[:, :COORDINATES]
        ):
            raise PathfmError(
                f"{file} has other places or features than {files[0]}: every slide "
                "needs the same tiles in the same order"
            )
    facts = {
        "encoder": folder.name,
        "revision": "not stated in features.npy",
        "pooling": "not stated",
        "codec": "not stated in features.npy",
        "mpp": None,
        "mpp_source": "not stated",
        "layout": "plism-benchmark features",
        "places": "all",
    }
    return Registered(
        conditions,
        lambda i: np.asarray(_features(files[i])[:, COORDINATES:]),
        len(first),
        facts,
    )


def plism_tiles(
    folder: Path,
    encoder: Encoder,
    *,
    mpp: float | None = None,
    subset: NDArray[np.integer] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Registered:
    """Encode PLISM's tiles: ``STAINING_SCANNER_to_GMH_S60.tif.h5``, one tile a key.

    Parameters
    ----------
    folder : Path
        Where the files are.
    encoder : Encoder
        What looks. Tiles of 224 px are not resized.
    mpp : float, optional
        Micrometres per pixel of the tiles, for the report: the files do not say.
    subset : ndarray, optional
        Rows of the sorted keys, such as plism-benchmark's ``tiles_subset_8139.npy``.
    progress : callable, optional
        Hears ``(tiles done, tiles)``.

    Raises
    ------
    PathfmError
        If h5py is missing, a file is damaged, or the slides' tiles have other names.
    """
    h5py = require_h5py()
    files = sorted(folder.glob("*.h5"))
    conditions = name_conditions([file.stem for file in files])
    features: list[NDArray[np.float32]] = []
    keys: list[str] = []
    for file in files:
        try:
            with h5py.File(file, "r") as group:
                own = sorted(group.keys())
                if subset is not None:
                    own = [own[row] for row in subset]
                if keys and own != keys:
                    raise PathfmError(f"{file} has other tiles than {files[0]}")
                keys = own
                before, total = len(features) * len(keys), len(files) * len(keys)
                features.append(
                    encode_tiles(
                        (fit(group[key][()], encoder.spec.tile_px) for key in keys),
                        encoder,
                        progress=onward(progress, before, total),
                    )
                )
        except (OSError, IndexError, KeyError) as error:
            raise PathfmError(f"{file} is no h5 file of tiles: {error}") from error
    facts = encoder_facts(encoder) | {
        "codec": "arrays in HDF5 (lossless); of the scanner's file: not stated",
        "mpp": mpp,
        "mpp_source": "as told" if mpp is not None else "not in the files",
        "layout": "PLISM tiles",
        "places": "all" if subset is None else f"{len(keys)} by an index file",
    }
    return Registered(conditions, features.__getitem__, len(keys), facts)


def registered_stores(
    stores: Sequence[EmbeddingStore], *, table: Path | None = None
) -> Registered:
    """Compare embedding stores of registered slides, cell by cell.

    Parameters
    ----------
    stores : sequence of EmbeddingStore
        Of the same encoder, mpp and tile; only cells done on every slide are compared.
    table : Path, optional
        Which slide (its stem) is which staining and scanner.

    Raises
    ------
    StoreError
        If the stores are not comparable, or share no cell.
    """
    first = stores[0]
    for store in stores[1:]:
        for key, words in _COMPARABLE.items():
            if store.attrs.get(key) != first.attrs.get(key):
                raise StoreError(
                    f"{store.path} and {first.path} were made with another {words} "
                    f"({store.attrs.get(key)}, {first.attrs.get(key)}): embed "
                    "both alike"
                )
    rows = [_rows_by_cell(store) for store in stores]
    shared = sorted(set.intersection(*(set(r) for r in rows)))
    if not shared:
        raise StoreError(f"{first.path} and the other stores share no finished tile")
    names = [str(store.attrs["slide"]).rsplit(".", 1)[0] for store in stores]
    attrs = first.attrs
    facts = {
        "encoder": attrs["encoder"],
        "revision": attrs["weights_revision"],
        "pooling": attrs["pooling"],
        "tile_px": attrs["tile_px"],
        "codec": "as in the slides",
        "mpp": attrs["mpp"],
        "mpp_source": attrs["slide_mpp_source"],
        "layout": "embedding stores",
        "places": f"{len(shared)} cells that are tissue on every slide",
    }
    return Registered(
        name_conditions(names, table),
        lambda i: stores[i].features[[rows[i][cell] for cell in shared]],
        len(shared),
        facts,
    )


def require_h5py() -> Any:
    """Import h5py.

    Raises
    ------
    PathfmError
        If it is not installed, saying how to.
    """
    try:
        import h5py
    except ImportError as error:
        raise PathfmError(
            "HDF5 files need h5py: pip install 'napari-pathfm[h5]'"
        ) from error
    return h5py


def _features(file: Path) -> NDArray[np.floating]:
    try:
        features: NDArray[np.floating] = np.load(file, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise PathfmError(f"{file} is no array of features: {error}") from error
    if features.ndim != 2 or features.shape[1] <= COORDINATES:
        raise PathfmError(
            f"{file} has the shape {features.shape}, not (tiles, 3 + features)"
        )
    return features


def _rows_by_cell(store: EmbeddingStore) -> dict[tuple[int, int], int]:
    done = np.flatnonzero(store.done)
    cells = store.cells[done]
    return {(int(r), int(c)): int(row) for (r, c), row in zip(cells, done, strict=True)}
