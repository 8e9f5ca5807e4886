"""What this program makes, as streams of QuPath features: tiles, synthetic regions."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from napari_pathfm.exports._features import (
    SYNTHETIC_CLASS,
    Feature,
    annotation_feature,
    measurement,
    object_id,
)
from napari_pathfm.exports._geometry import rectangle_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from napari_pathfm.generators import SyntheticImage
    from napari_pathfm.heatmaps import Heatmap


def tile_features(
    coords: npt.ArrayLike,
    tile_size: float,
    measurements: Mapping[str, npt.ArrayLike] | None = None,
    *,
    id_namespace: str | None = None,
) -> Iterator[Feature]:
    """Yield square tiles with measurements, which QuPath's measurement maps show.

    Parameters
    ----------
    coords : array_like, (N, 2)
        Level-0 ``(x, y)`` of the top-left corners.
    tile_size : float
        Side in level-0 pixels.
    measurements : mapping of str to array_like (N,), optional
        One number per tile and name.
    id_namespace : str, optional
        Names the slide (and what else tells two exports apart). With it a tile's id
        follows from its place, and a second export updates the first; without it ids
        are random.

    Yields
    ------
    dict
        Features of objectType ``tile``, in the order of `coords`.

    Raises
    ------
    ValueError
        The arrays do not fit each other.
    """
    corners = np.asarray(coords)
    if corners.ndim != 2 or corners.shape[1] != 2:
        raise ValueError(f"coords must have the shape (N, 2), not {corners.shape}")
    columns: dict[str, list[float]] = {}
    for key, values in (measurements or {}).items():
        column = np.asarray(values, dtype=np.float64)
        if column.shape != (len(corners),):
            raise ValueError(
                f"measurement {key!r} has the shape {column.shape}, "
                f"not ({len(corners)},)"
            )
        columns[str(key)] = column.tolist()
    size = float(tile_size)
    for index, (x, y) in enumerate(corners.tolist()):
        properties: dict[str, Any] = {"objectType": "tile"}
        if columns:
            properties["measurements"] = {
                key: measurement(column[index]) for key, column in columns.items()
            }
        yield {
            "type": "Feature",
            "id": str(uuid.uuid4())
            if id_namespace is None
            else object_id(id_namespace, float(x), float(y), size),
            "geometry": rectangle_json(x, y, size, size),
            "properties": properties,
        }


def tiles_feature_collection(
    coords: npt.ArrayLike,
    tile_size: float,
    measurements: Mapping[str, npt.ArrayLike] | None = None,
    *,
    id_namespace: str | None = None,
) -> Feature:
    """Return the FeatureCollection of `tile_features`, whole in memory.

    For a whole slide give `tile_features` to `write_geojson` instead: it holds one
    feature at a time.
    """
    features = tile_features(coords, tile_size, measurements, id_namespace=id_namespace)
    return {"type": "FeatureCollection", "features": list(features)}


def heatmap_tiles(heatmap: Heatmap) -> Iterator[Feature]:
    """Yield the cells of a heatmap that are not NaN as QuPath tiles.

    Parameters
    ----------
    heatmap : Heatmap
        The measurement bears its name, a tile is one cell of ``stride`` level-0 pixels.

    Yields
    ------
    dict
        Features in row-major order. Ids follow from the slide, the heatmap's name and
        the place of the cell.
    """
    key = heatmap.provenance.get("slide_fingerprint", "")
    yield from grid_tiles(
        heatmap.values,
        heatmap.origin,
        heatmap.stride,
        heatmap.name,
        id_namespace=f"{key}/{heatmap.name}",
    )


def grid_tiles(
    values: npt.ArrayLike,
    origin: Sequence[float],
    stride: float,
    name: str,
    *,
    id_namespace: str | None = None,
) -> Iterator[Feature]:
    """Yield the non-NaN cells of a grid whose first cell has its corner at `origin`."""
    grid = np.asarray(values)
    rows, columns = np.nonzero(~np.isnan(grid))
    lattice = np.stack([columns, rows], axis=1) * float(stride)
    yield from tile_features(
        lattice + np.asarray(origin, dtype=np.float64),
        float(stride),
        {name: grid[rows, columns]},
        id_namespace=id_namespace,
    )


def synthetic_features(
    images: Sequence[SyntheticImage],
    box: Sequence[float],
    *,
    fidelity: Sequence[float] | None = None,
) -> Iterator[Feature]:
    """Yield one annotation of the class Synthetic per image placed at `box`.

    Parameters
    ----------
    images : sequence of SyntheticImage
    box : (x, y, width, height)
        What the images cover, level-0 pixels.
    fidelity : sequence of float, optional
        One per image; becomes the measurement ``fidelity``. The figures of each
        image's own provenance are measurements in any case.

    Yields
    ------
    dict
        Each carries the image's whole provenance as string metadata, ``synthetic:
        "true"`` among it, and is locked: a region that was generated is not to be
        reshaped by a slip of the hand.
    """
    import shapely

    x, y, width, height = map(float, box)
    region = shapely.box(x, y, x + width, y + height)
    for index, image in enumerate(images):
        provenance = image.provenance.to_json()
        known = dict(image.provenance.fidelity)
        if fidelity is not None:
            known["fidelity"] = float(fidelity[index])
        yield annotation_feature(
            region,
            name=f"Synthetic {index + 1} of {len(images)}",
            classification=SYNTHETIC_CLASS,
            measurements=known,
            metadata={**json.loads(provenance), "synthetic": True},
            locked=True,
            id=object_id(provenance, x, y, width, height, index),
        )
