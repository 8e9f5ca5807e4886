"""Where a napari layer lies on the slide, from its layer data tuple alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from napari_pathfm.errors import MissingMppError, PathfmError

Array = npt.NDArray[np.float64]

#: ``(data, attributes, type)``, as napari hands a layer to a writer.
LayerTuple = tuple[Any, Mapping[str, Any], str]

KEY = "napari_pathfm"

_MICROMETRES = {
    "nanometer": 1e-3,
    "nm": 1e-3,
    "micrometer": 1.0,
    "micron": 1.0,
    "um": 1.0,
    "μm": 1.0,  # micro sign and Greek mu, both in use
    "millimeter": 1e3,
    "mm": 1e3,
    "centimeter": 1e4,
    "cm": 1e4,
    "meter": 1e6,
    "m": 1e6,
}


def our_metadata(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return ``metadata["napari_pathfm"]`` of a layer, empty where it is not ours."""
    ours = (attributes.get("metadata") or {}).get(KEY)
    return ours if isinstance(ours, Mapping) else {}


def layer_name(attributes: Mapping[str, Any]) -> str:
    """Return the layer's name, for messages and metadata."""
    return str(attributes.get("name") or "unnamed")


def in_pixels(attributes: Mapping[str, Any]) -> bool:
    """Return whether the layer's world is counted in pixels (napari's default)."""
    return _unit(attributes) in ("pixel", "px", "")


@dataclass(frozen=True)
class LayerPlace:
    """The way from a layer's data to level-0 pixels.

    Attributes
    ----------
    matrix : float64 (2, ndim)
        The last two rows of what takes data to napari's world.
    translate : float64 (2,)
        World of the data's origin, ``(row, column)``.
    unit : float or None
        Micrometres per unit of the world; None where the world is level-0 pixels.
    mpp : float
        Micrometres per level-0 pixel; 1 where `unit` is None.
    """

    matrix: Array
    translate: Array
    unit: float | None
    mpp: float

    def level0(self, points: npt.ArrayLike) -> Array:
        """Return level-0 ``(x, y)``, corner origin, of data coordinates.

        Parameters
        ----------
        points : array_like, (..., ndim)
            Data coordinates ``(..., row, column)``; an integer is a pixel's centre.

        Returns
        -------
        float64 (..., 2)
        """
        from napari_pathfm.slides import world_to_level0

        data = np.asarray(points, dtype=np.float64)
        world = data @ self.matrix.T + self.translate
        return world_to_level0(world * (self.unit or 1.0), self.mpp)


def layer_place(
    attributes: Mapping[str, Any], ndim: int, *, mpp: float | None = None
) -> LayerPlace:
    """Read scale, translate, rotate, shear, affine and units of a layer.

    Parameters
    ----------
    attributes : mapping
        The middle of the layer data tuple. What is missing has napari's default.
    ndim : int
        Number of spatial axes of the data. Only the last two count; leading ones (a
        stack of images) are dropped.
    mpp : float, optional
        Micrometres per level-0 pixel; goes before the one in the layer's metadata.

    Returns
    -------
    LayerPlace
        A layer in pixels is taken as level-0 pixels, whatever its mpp.

    Raises
    ------
    MissingMppError
        The layer is in a unit of length and no pixel size is known.
    PathfmError
        The layer's unit or transform is not one that a slide can have.
    """
    name = layer_name(attributes)
    if in_pixels(attributes):
        unit, mpp = None, 1.0
    else:
        word = _unit(attributes)
        unit = _MICROMETRES.get(word)
        if unit is None:
            raise PathfmError(
                f"The layer {name!r} is in {word!r}, which is no length; "
                "set its units to um or pixel."
            )
        mpp = known_mpp(attributes, mpp)
        if mpp is None:
            raise MissingMppError(
                f"The layer {name!r} is in micrometres but its slide's pixel size is "
                "not known; give micrometres per pixel (mpp)."
            )
    try:
        matrix, translate = _transform(attributes, ndim)
    except (TypeError, ValueError, IndexError) as error:
        raise PathfmError(
            f"The layer {name!r} has a transform that cannot be exported: {error}."
        ) from error
    return LayerPlace(matrix[-2:], translate[-2:], unit, mpp)


def known_mpp(attributes: Mapping[str, Any], mpp: float | None = None) -> float | None:
    """Return `mpp`, or the layer metadata's, or None; only a positive number counts."""
    for value in (mpp, our_metadata(attributes).get("mpp")):
        if isinstance(value, (int, float)) and np.isfinite(value) and value > 0:
            return float(value)
    return None


def _unit(attributes: Mapping[str, Any]) -> str:
    units = attributes.get("units")
    if units is None:
        return "pixel"
    words = (
        [units] if isinstance(units, str) or not isinstance(units, Sequence) else units
    )
    last = [str(word).strip().replace("µ", "μ") for word in words][-2:]
    if len(set(last)) > 1:
        return " and ".join(last)
    return (last[0] if last else "pixel").removesuffix("s")


def _transform(attributes: Mapping[str, Any], ndim: int) -> tuple[Array, Array]:
    """Compose as napari does: affine after translate after rotate, shear, scale."""
    scale = _vector(attributes.get("scale"), ndim, 1.0)
    translate = _vector(attributes.get("translate"), ndim, 0.0)
    linear = _rotation(attributes.get("rotate"), ndim) @ _shear(
        attributes.get("shear"), ndim
    )
    linear = linear * scale
    affine = attributes.get("affine")
    if affine is not None:
        # A napari Affine, or the homogeneous matrix that it holds.
        outer = np.asarray(getattr(affine, "affine_matrix", affine), dtype=np.float64)
        whole = _embed(outer, ndim + 1)
        linear = whole[:-1, :-1] @ linear
        translate = whole[:-1, :-1] @ translate + whole[:-1, -1]
    if not (np.isfinite(linear).all() and np.isfinite(translate).all()):
        raise ValueError("it is not finite")
    return linear, translate


def _vector(value: Any, ndim: int, default: float) -> Array:
    """Return one number per axis; missing leading axes have the default."""
    given = np.atleast_1d(np.asarray([] if value is None else value, dtype=np.float64))
    full = np.full(ndim, default)
    if given.size:
        given = given[-ndim:]
        full[ndim - len(given) :] = given
    return full


def _rotation(value: Any, ndim: int) -> Array:
    if value is None:
        return np.eye(ndim)
    given = np.asarray(value, dtype=np.float64)
    if given.ndim == 0:
        angle = np.deg2rad(float(given))
        cosine, sine = np.cos(angle), np.sin(angle)
        given = np.array([[cosine, -sine], [sine, cosine]])
    return _embed(given, ndim)


def _shear(value: Any, ndim: int) -> Array:
    """Return the matrix of napari's shear: its upper triangle row by row, or whole."""
    if value is None:
        return np.eye(ndim)
    given = np.asarray(value, dtype=np.float64)
    if given.ndim == 1:
        size = (1 + round(np.sqrt(1 + 8 * len(given)))) // 2
        matrix = np.eye(size)
        matrix[np.triu_indices(size, 1)] = given
        given = matrix
    return _embed(given, ndim)


def _embed(matrix: Array, size: int) -> Array:
    """Return `matrix` as the last rows and columns of an identity."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a matrix of the shape {matrix.shape} is not square")
    given = matrix[-size:, -size:]
    full = np.eye(size)
    full[size - len(given) :, size - len(given) :] = given
    return cast("Array", full)
