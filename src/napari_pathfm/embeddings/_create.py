"""A store's beginning: whole under its name, or not there."""

from __future__ import annotations

import os
import shutil
import uuid
from typing import TYPE_CHECKING, Any

from napari_pathfm.embeddings._disk import output_error, sync
from napari_pathfm.embeddings._store import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from napari_pathfm.embeddings._store import EmbeddingStore
    from napari_pathfm.slides import TileGrid

_ROWS = 256  # rows in a chunk


def create_store(
    path: Path, attrs: dict[str, Any], grid: TileGrid, dim: int, patch_grid: int | None
) -> EmbeddingStore:
    """Make an empty store; it appears under its name only when it is whole.

    Parameters
    ----------
    path : Path
        Where.
    attrs : dict
        From `store_attrs`.
    grid : TileGrid
        Its tiles become the rows.
    dim : int
        Length of a feature.
    patch_grid : int or None
        Patches along a tile's side, if patch tokens are kept.

    Raises
    ------
    OutputError
        If the folder cannot be written.
    """
    import zarr

    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    n = len(grid.coords)
    rows = min(_ROWS, n)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        group = zarr.open_group(part, mode="w", zarr_format=3)
        group.create_array("coords", data=grid.coords, chunks=(n, 2))
        group.create_array("cells", data=grid.cells, chunks=(n, 2))
        group.create_array("features", shape=(n, dim), chunks=(rows, dim), dtype="f2")
        if patch_grid is not None:
            shape = (patch_grid, patch_grid, dim)
            group.create_array(
                "patches", shape=(n, *shape), chunks=(min(8, n), *shape), dtype="f2"
            )
        group.create_array("done", shape=(n,), chunks=(n,), dtype="bool")
        group.attrs.update(attrs)
        sync([file for file in part.rglob("*") if file.is_file()])
        os.rename(part, path)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise output_error(path, error) from error
    return open_store(path, writable=True)


def tidy(path: Path) -> None:
    """Remove what a killed run left of files and stores that it was writing."""
    for part in path.parent.glob(f".{path.name}.????????"):
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
    for folder in (path, path / "features", path / "patches", path / "done"):
        for file in folder.rglob("*.partial") if folder != path else folder.glob("*"):
            if file.suffix == ".partial":
                file.unlink(missing_ok=True)
