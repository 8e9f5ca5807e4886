"""Where to move an embedding: towards a class, or from some places to others."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from napari_pathfm.embeddings import check_comparable
from napari_pathfm.errors import PathfmError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.generators import GeneratorSpec
    from napari_pathfm.slides import Slide

#: Probability of the wanted class at which the last step's condition stands: generators
#: follow late (docs/performance.md, Steering).
REACH = 0.999

# Degrees between the embeddings that are tried; beyond a right angle nothing is left of
# the tile.
_ANGLES = np.arange(0, 90.05, 0.1)


class Classifier(Protocol):
    """What tells classes apart: `heatmaps.FewShot` is one."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of its classes."""

    @property
    def provenance(self) -> dict[str, Any]:
        """As `check_comparable` reads it."""

    def number(self, name: str) -> int:
        """Of a class; a `LabelError` if there is none of that name."""

    def direction(self, name: str) -> NDArray[np.float32]:
        """Towards a class: float32 ``(D,)``."""

    def chances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probabilities, float32 ``(N, K)``."""


def check_steering(
    classifier: Classifier, towards: str | None, spec: GeneratorSpec
) -> None:
    """Refuse a classifier of other vectors than the generator's, before models load.

    Raises
    ------
    PathfmError
        If it was fitted to another encoder's vectors, or to more than CLS.
    LabelError
        If it has no such class.
    """
    told = classifier.provenance
    if told.get("encoder") != spec.encoder:
        raise PathfmError(
            f"{spec.title} is conditioned on {spec.encoder} and the classifier was "
            f"fitted to {told.get('encoder')}: fit it to embeddings of {spec.encoder}"
        )
    if told.get("pooling") != "cls":
        raise PathfmError(
            f"the classifier was fitted to {told.get('pooling')} and {spec.title} is "
            "conditioned on cls: fit it to embeddings with that pooling"
        )
    if towards is not None:
        classifier.number(towards)


def check_vectors(classifier: Classifier, encoder: Encoder, slide: Slide) -> None:
    """Refuse a classifier that was fitted to other weights or tiles.

    Raises
    ------
    StoreError
        Naming what differs.
    """
    spec = encoder.spec
    here = {
        "encoder": spec.name,
        "encoder_spec": spec.digest,
        "weights_revision": encoder.revision,
        "pooling": "cls",
        "mpp": spec.mpp,
        "tile_px": spec.tile_px,
        "icc_applied": slide.icc_applied,
    }
    check_comparable(classifier.provenance, here, ("the classifier", spec.title))


def end_towards(
    start: NDArray[np.float32],
    classifier: Classifier,
    name: str,
    reach: float | None = None,
) -> NDArray[np.float32]:
    """Turn an embedding towards a class until the classifier takes it for that.

    It keeps its length and turns in the plane of itself and the class's direction.

    Parameters
    ----------
    start : ndarray
        float32 ``(D,)``.
    classifier : Classifier
    name : str
        Of the class.
    reach : float, optional
        Probability at which it stops, above 0 and below 1. Where it is not given,
        `REACH`, or the most that can be had.

    Returns
    -------
    ndarray
        float32 ``(D,)``.

    Raises
    ------
    PathfmError
        If the embedding is there already, or no angle up to 90 degrees gets there.
    """
    length = float(np.linalg.norm(start))
    along = start.astype(np.float64) / max(length, 1e-12)
    way = classifier.direction(name).astype(np.float64)
    across = way - (way @ along) * along
    across /= max(float(np.linalg.norm(across)), 1e-12)
    angles = np.deg2rad(_ANGLES)[:, None]
    turned = (length * (np.cos(angles) * along + np.sin(angles) * across)).astype(
        np.float32
    )
    chances = classifier.chances(turned)[:, classifier.number(name)]
    wanted = min(REACH, float(chances.max())) if reach is None else reach
    if chances[0] >= wanted:
        raise PathfmError(
            f"the tile is {name!r} already, with probability {chances[0]:.3f}: steer "
            "towards another class, from another place, or further (--reach)"
        )
    there = np.flatnonzero(chances >= wanted)
    if not len(there):
        raise PathfmError(
            f"no way from this tile makes {name!r} more probable than "
            f"{chances.max():.3f}: ask for less (--reach)"
        )
    end: NDArray[np.float32] = turned[there[0]]
    return end


def angle(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Degrees between two vectors, rounded to a tenth."""
    norms = max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-12)
    return round(float(np.degrees(np.arccos(np.clip(a @ b / norms, -1, 1)))), 1)


def packed(vector: NDArray[np.float32]) -> str:
    """Write a vector as text: base64 of little-endian float32."""
    return base64.b64encode(vector.astype("<f4").tobytes()).decode("ascii")


def unpacked(text: Any) -> NDArray[np.float32]:
    """Read what `packed` wrote.

    Raises
    ------
    PathfmError
        If it is damaged.
    """
    try:
        raw = base64.b64decode(text, validate=True)
        return np.frombuffer(raw, "<f4").astype(np.float32)
    except (TypeError, ValueError) as error:
        raise PathfmError(f"the provenance's end is damaged ({error})") from error
