"""Classes from a handful of labels: a linear head on embeddings that stay as they are.

Multinomial logistic regression on unit vectors, centred and brought to unit root mean
square as a whole, so that one strength of regularisation fits every encoder; weighted
so that each class counts the same however many labels it has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import LabelError
from napari_pathfm.heatmaps._heatmap import passed_on
from napari_pathfm.heatmaps._vectors import normalised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._classes import LabelledTiles, TissueClass
    from napari_pathfm.heatmaps._vectors import UnitVectors

# The inverse strength is D * K / 100, as in the linear probe of UNI (Chen et al.,
# Nature Medicine 2024, Methods: an l2 coefficient of 100 / (D * K)).
_STRENGTH = 100
_ITERATIONS = 300


@dataclass(frozen=True)
class FewShot:
    """A linear classifier of tiles.

    Attributes
    ----------
    classes : tuple of TissueClass
        What it tells apart.
    weights : float32 array, (K, D)
        Of unit vectors.
    bias : float32 array, (K,)
    temperature : float
        Logits are divided by it: above 1 makes probabilities more modest.
    provenance : dict
        Encoder, weights revision, pooling, tile size and mpp that vectors must come
        from, how many labels there were and of which slides; JSON-serialisable.
    """

    classes: tuple[TissueClass, ...]
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float = 1.0
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, in the order of the weights."""
        return tuple(one.name for one in self.classes)

    def number(self, name: str) -> int:
        """Give the number of a class.

        Raises
        ------
        LabelError
            There is no such class.
        """
        if name not in self.names:
            raise LabelError(
                f"the classifier has no class {name!r}: it tells apart "
                + ", ".join(self.names)
            )
        return self.names.index(name)

    def direction(self, name: str) -> NDArray[np.float32]:
        """Give the way towards a class: its weights less the mean of all others'.

        Returns
        -------
        float32 array, (D,)

        Raises
        ------
        LabelError
            There is no such class.
        """
        number = self.number(name)
        rest = np.delete(self.weights, number, axis=0).mean(0)
        return np.asarray(self.weights[number] - rest, np.float32)

    def chances(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give probabilities of embeddings that lie in no store.

        Parameters
        ----------
        features : float32 array, (N, D)
            Of any length; whether they are comparable is the caller's to see to.

        Returns
        -------
        float32 array, (N, K)
        """
        logits = normalised(features) @ self.weights.T + self.bias
        return softmax(logits / self.temperature)

    def logits(self, vectors: UnitVectors) -> NDArray[np.float32]:
        """Score every tile: float32 ``(N, K)``, before the temperature."""
        # Directions of length 1, so that half precision loses nothing of them.
        lengths = np.linalg.norm(self.weights, axis=1)
        scores = vectors.dot(normalised(self.weights))
        return np.asarray(scores * lengths + self.bias, np.float32)

    def probabilities(self, vectors: UnitVectors) -> NDArray[np.float32]:
        """Give every tile's probabilities: float32 ``(N, K)``; NaN where not embedded.

        Raises
        ------
        StoreError
            The vectors come from another encoder, revision, pooling or tile size.
        """
        from napari_pathfm.embeddings import check_comparable

        own = passed_on(vectors.attrs)
        # What it was fitted to may be of unknown origin, yet it is like itself.
        if any(self.provenance.get(key) != value for key, value in own.items()):
            names = ("the classifier", vectors.name)
            check_comparable(self.provenance, vectors.attrs, names)
        chances = softmax(self.logits(vectors) / self.temperature)
        chances[~vectors.done] = np.nan
        return chances


def fit_few_shot(
    vectors: UnitVectors,
    labelled: LabelledTiles,
    *,
    temperature: float = 1.0,
) -> FewShot:
    """Fit a classifier to labelled tiles.

    Parameters
    ----------
    vectors : UnitVectors
        Of the slide; labelled tiles that are not embedded yet are left out.
    labelled : LabelledTiles
        At least one tile of two classes. Classes without a tile are left out.
    temperature : float
        From `validate`, which finds it on labels that were held out.

    Returns
    -------
    FewShot

    Raises
    ------
    LabelError
        Fewer than two classes have labelled tiles.
    """
    labelled = labelled.among(vectors.done)
    present = np.flatnonzero(labelled.counts)
    if len(present) < 2:
        raise LabelError(
            "label tiles of at least two classes: "
            + (
                f"only {labelled.classes[present[0]].name!r} has any"
                if len(present)
                else "none has any that is embedded"
            )
        )
    number = np.searchsorted(present, labelled.labels)
    weights, bias = fit_head(vectors.rows(labelled.rows), number, len(present))
    classes = tuple(labelled.classes[i] for i in present)
    provenance = passed_on(vectors.attrs) | {
        "kind": "few-shot classifier",
        "labels": {
            one.name: int(labelled.counts[i])
            for one, i in zip(classes, present, strict=True)
        },
    }
    return FewShot(classes, weights, bias, temperature, provenance)


def fit_head(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Fit the head itself.

    Parameters
    ----------
    features : float32 array, (M, D)
        Unit vectors.
    labels : int64 array, (M,)
        From 0 to K - 1; each at least once.
    classes : int
        K, at least 2.

    Returns
    -------
    weights, bias : float32 arrays, (K, D) and (K,)
    """
    from sklearn.linear_model import LogisticRegression

    centre = features.mean(0)
    centred = features - centre
    scale = float(np.sqrt(np.mean(centred**2))) or 1.0
    model = LogisticRegression(
        C=features.shape[1] * classes / _STRENGTH,
        class_weight="balanced",
        max_iter=_ITERATIONS,
        # Stops where probabilities no longer change to the eye.
        tol=1e-3,
    )
    model.fit(centred / scale, labels)
    weights, bias = model.coef_ / scale, model.intercept_
    if classes == 2:
        # scikit-learn keeps one row for two classes; halves of opposite sign are the
        # same under softmax.
        weights = np.concatenate([-weights, weights]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return (
        np.asarray(weights, np.float32),
        np.asarray(bias - weights @ centre, np.float32),
    )


def softmax(logits: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Turn logits ``(..., K)`` into probabilities, float32."""
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=-1, keepdims=True), np.float32)
