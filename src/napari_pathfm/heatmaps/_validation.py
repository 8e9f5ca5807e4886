"""How far to trust a few-shot classifier: held-out labels, blocked by place.

Neighbouring tiles look alike, so a tile held out beside one that was learnt from says
little. Labelled tiles that touch form a place, and places are held out whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.heatmaps._few_shot import fit_head

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_pathfm.heatmaps._classes import LabelledTiles
    from napari_pathfm.heatmaps._vectors import UnitVectors
    from napari_pathfm.slides import TileGrid

_FOLDS = 5
# Within which temperatures are looked for.
_TEMPERATURES = (0.05, 20.0)


@dataclass(frozen=True)
class Validation:
    """What cross-validation says.

    Attributes
    ----------
    names : tuple of str
        The classes that have labels.
    confusion : int64 array, (K, K)
        Labelled tiles by true class (row) and predicted class (column), each
        predicted when it was held out; zero where nothing could be held out.
    temperature : float
        That makes held-out probabilities honest (lowest log loss); 1 where unknown.
    folds : int
        How many; 0 where there are too few labels.
    warning : str
        What makes these figures better than they will be elsewhere, or why there are
        none; empty where nothing does.
    """

    names: tuple[str, ...]
    confusion: NDArray[np.int64]
    temperature: float
    folds: int
    warning: str

    @property
    def accuracy(self) -> float:
        """Share of the held-out tiles that were right; NaN where there are none."""
        total = self.confusion.sum()
        return float(np.trace(self.confusion) / total) if total else float("nan")

    @property
    def balanced_accuracy(self) -> float:
        """The same, each class counting alike: the mean of their recalls."""
        totals = self.confusion.sum(axis=1)
        if not totals.all():
            return float("nan")
        return float(np.mean(np.diag(self.confusion) / totals))

    def to_json(self) -> dict[str, Any]:
        """Give it for a report or a file."""
        held = self.folds > 0
        return {
            "classes": list(self.names),
            "confusion": self.confusion.tolist(),
            "accuracy": round(self.accuracy, 4) if held else None,
            "balanced_accuracy": round(self.balanced_accuracy, 4) if held else None,
            "temperature": round(self.temperature, 4),
            "folds": self.folds,
            "warning": self.warning,
        }


def validate(vectors: UnitVectors, labelled: LabelledTiles) -> Validation:
    """Cross-validate a few-shot classifier on its own labels.

    Parameters
    ----------
    vectors : UnitVectors
        Of the slide.
    labelled : LabelledTiles
        What `fit_few_shot` would be given.

    Returns
    -------
    Validation
        Never raises for want of labels: `warning` says what is missing.
    """
    labelled = labelled.among(vectors.done)
    present = np.flatnonzero(labelled.counts)
    names = tuple(labelled.classes[i].name for i in present)
    k = len(present)
    nothing = np.zeros((k, k), np.int64)
    if k < 2:
        return Validation(names, nothing, 1.0, 0, "Label two classes to see how good.")
    number = np.searchsorted(present, labelled.labels)
    places = places_of(vectors.grid, labelled.rows)
    held_out, warning = _folds(number, places, names)
    if not held_out:
        return Validation(names, nothing, 1.0, 0, warning)
    features = vectors.rows(labelled.rows)
    logits = np.full((len(number), k), np.nan)
    for learn, test in held_out:
        weights, bias = fit_head(features[learn], number[learn], k)
        logits[test] = features[test] @ weights.T + bias
    tested = ~np.isnan(logits[:, 0])
    confusion = nothing.copy()
    np.add.at(confusion, (number[tested], logits[tested].argmax(axis=1)), 1)
    temperature = _temperature(logits[tested], number[tested])
    return Validation(names, confusion, temperature, len(held_out), warning)


def places_of(grid: TileGrid, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the places of tiles: those that touch, corners included, share one."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    step = grid.step or grid.stride
    near = cKDTree(grid.coords[rows]).query_pairs(step, p=np.inf, output_type="ndarray")
    links = coo_array((np.ones(len(near)), near.T), shape=(len(rows), len(rows)))
    return np.asarray(connected_components(links, directed=False)[1], np.int64)


def _folds(
    labels: NDArray[np.int64], places: NDArray[np.int64], names: tuple[str, ...]
) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.int64]]], str]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    # Where strokes of two classes touch, they are one place and two pieces.
    pieces = places * len(names) + labels
    k = len(names)
    spread = [len(np.unique(pieces[labels == i])) for i in range(k)]
    count = [int((labels == i).sum()) for i in range(k)]
    lonely = [names[i] for i in range(k) if spread[i] == 1]
    columns = np.zeros((len(labels), 1))
    if not lonely:
        splitter = StratifiedGroupKFold(min(_FOLDS, *spread))
        folds = splitter.split(columns, labels, pieces)
        return _whole(folds, labels, k), ""
    listed = " and ".join(repr(name) for name in lonely)
    if min(count) < 2:
        single = " and ".join(
            repr(n) for n, c in zip(names, count, strict=True) if c < 2
        )
        return [], f"Label {single} in one more place to see how good this is."
    folds = StratifiedKFold(min(_FOLDS, *count)).split(columns, labels)
    return _whole(folds, labels, k), (
        f"Labels of {listed} come from one place only: expect less elsewhere."
    )


def _whole(
    folds: Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]],
    labels: NDArray[np.int64],
    classes: int,
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Keep the folds that learn from every class."""
    return [
        (learn, test)
        for learn, test in folds
        if len(test) and len(np.unique(labels[learn])) == classes
    ]


def _temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Find the temperature of the lowest log loss (Guo et al., ICML 2017)."""
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    def loss(log_t: float) -> float:
        scaled = log_softmax(logits / np.exp(log_t), axis=1)
        return -float(scaled[np.arange(len(labels)), labels].mean())

    low, high = np.log(_TEMPERATURES)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded")
    # Where every held-out label is right, the lower bound would win and promise
    # certainty: a handful of labels cannot.
    return float(max(1.0, np.exp(found.x)))
