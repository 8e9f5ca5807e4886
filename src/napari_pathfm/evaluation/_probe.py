"""Frozen features, simple classifiers: k nearest neighbours and a linear probe.

EVA (kaiko.ai) trains a linear head on frozen features by AdamW, without weight decay
and stopped early, and reports balanced accuracy. Here the same loss is minimised to the
end by scikit-learn's logistic regression; the strength of its L2 penalty, chosen within
the training part, stands in for stopping early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._bootstrap import (
    DRAWS,
    Estimate,
    bootstrap_counts,
    interval,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

#: Neighbours counted where a caller does not say.
NEIGHBOURS = (1, 5, 20)

#: Inverse strengths of the penalty to choose from.
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)

# Up to so many groups, each is left out once; more are dealt into `_FOLDS`.
_MOST_GROUPS = 10
_FOLDS = 5


@dataclass(frozen=True)
class Probed:
    """What a classifier said of the tiles it was not fitted to.

    Attributes
    ----------
    name : str
        For people.
    predicted : ndarray of str
        ``(M,)``: of the tested tiles, in the order of `Probe.tested`.
    """

    name: str
    predicted: NDArray[np.str_]


def folds(
    labels: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
    test: NDArray[np.bool_] | None = None,
    seed: int = 0,
) -> tuple[list[tuple[NDArray[np.int64], NDArray[np.int64]]], str]:
    """Split into what is fitted and what is tested, and say how.

    A given test set is the only fold; groups are left out one by one, or in five
    stratified folds where there are more than ten; single tiles in five such folds.

    Returns
    -------
    (list of (fitted rows, tested rows), str)

    Raises
    ------
    PathfmError
        If there is one group only, or a class has too few tiles.
    """
    from sklearn.model_selection import (
        LeaveOneGroupOut,
        StratifiedGroupKFold,
        StratifiedKFold,
    )

    if test is not None:
        return [(np.flatnonzero(~test), np.flatnonzero(test))], "the given test set"
    rows = np.zeros(len(labels))
    if groups is None:
        rarest = int(np.unique(labels, return_counts=True)[1].min())
        if rarest < 2:
            raise PathfmError("a class has one tile only: give two of each at least")
        k = min(_FOLDS, rarest)
        split = StratifiedKFold(k, shuffle=True, random_state=seed)
        return list(split.split(rows, labels)), f"{k} stratified folds of tiles"
    n = len(set(groups))
    if n < 2:
        raise PathfmError("all tiles are of one group, so none can be left out")
    if n <= _MOST_GROUPS:
        splits = list(LeaveOneGroupOut().split(rows, labels, groups))
        return splits, f"each of {n} groups left out once"
    grouped = StratifiedGroupKFold(_FOLDS, shuffle=True, random_state=seed)
    return list(grouped.split(rows, labels, groups)), f"{_FOLDS} folds of {n} groups"


def nearest(
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    k: int,
) -> Probed:
    """Let the k nearest fitted tiles vote, by cosine about the fitted tiles' mean."""
    from sklearn.neighbors import KNeighborsClassifier

    parts = []
    for fitted, tested in splits:
        centre = features[fitted].mean(0)
        model = KNeighborsClassifier(min(k, len(fitted)), metric="cosine")
        model.fit(features[fitted] - centre, labels[fitted])
        parts.append(model.predict(features[tested] - centre))
    return Probed(f"{k} nearest", np.concatenate(parts))


def linear(
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    splits: Sequence[tuple[NDArray[np.int64], NDArray[np.int64]]],
    groups: NDArray[np.str_] | None = None,
    name: str = "linear",
) -> Probed:
    """Fit a logistic regression on standardised features, class by class."""
    parts = []
    for fitted, tested in splits:
        own = None if groups is None else groups[fitted]
        strength = _strength(features[fitted], labels[fitted], own)
        parts.append(
            _fit(features[fitted], labels[fitted], strength).predict(features[tested])
        )
    return Probed(name, np.concatenate(parts))


def balanced_accuracy(
    labels: NDArray[np.str_],
    predicted: NDArray[np.str_],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    groups: NDArray[np.str_] | None = None,
) -> Estimate:
    """Mean over classes of the share that is told right, with its interval.

    Tested tiles are resampled, or whole groups of them; models are not fitted anew. A
    class that a draw lacks is left out of that draw's mean.
    """
    counts = bootstrap_counts(len(labels), draws=draws, seed=seed, groups=groups)
    weights = np.vstack([np.ones(len(labels), np.float32), counts])
    right = (labels == predicted).astype(np.float32)
    recalls = []
    for name in np.unique(labels):
        own = (labels == name).astype(np.float32)
        total = weights @ own
        found = np.full(len(total), np.nan)
        np.divide(weights @ (own * right), total, out=found, where=total > 0)
        recalls.append(found)
    values = np.nanmean(recalls, axis=0)
    return interval(float(values[0]), values[1:])


def confusion(
    labels: NDArray[np.str_], predicted: NDArray[np.str_], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Share of each class (rows) that is called each class (columns)."""
    table = np.array(
        [[np.sum((labels == a) & (predicted == b)) for b in classes] for a in classes],
        float,
    )
    shares: NDArray[np.float64] = table / np.maximum(table.sum(1, keepdims=True), 1)
    return shares


def _fit(
    features: NDArray[np.floating], labels: NDArray[np.str_], strength: float
) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = LogisticRegression(C=strength, max_iter=5000, class_weight="balanced")
    return make_pipeline(StandardScaler(), model).fit(features, labels)


def _strength(
    features: NDArray[np.floating],
    labels: NDArray[np.str_],
    groups: NDArray[np.str_] | None,
) -> float:
    """The strength under which inner tiles' labels are likeliest."""
    likely = np.zeros(len(STRENGTHS))
    for fitted, tested in _inner(labels, groups):
        tested = tested[np.isin(labels[tested], labels[fitted])]
        if len(set(labels[fitted])) < 2 or not len(tested):
            continue
        for i, strength in enumerate(STRENGTHS):
            model = _fit(features[fitted], labels[fitted], strength)
            says = model.predict_proba(features[tested])
            own = np.searchsorted(model.classes_, labels[tested])
            likely[i] += np.log(says[np.arange(len(tested)), own] + 1e-12).sum()
    return STRENGTHS[int(likely.argmax())]


def _inner(
    labels: NDArray[np.str_], groups: NDArray[np.str_] | None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import GroupKFold, KFold

    rows = np.zeros(len(labels))
    if groups is not None and len(set(groups)) > 1:
        yield from GroupKFold(min(_FOLDS, len(set(groups)))).split(rows, None, groups)
    else:
        k = min(_FOLDS, len(labels))
        yield from KFold(k, shuffle=True, random_state=0).split(rows)
