"""Nested cross-validation of slide-level heads, and ensembles that average predictions.

Phikon's protocol (owkin/HistoSSLscaling): within the training part of each outer fold,
an inner cross-validation chooses learning rate, weight decay and number of epochs by
mean AUC; one network is then trained on the whole part (*retrained*). Phikon-v2 reports
that ensembling beats this; the *ensemble* here averages the predictions of the chosen
setting's inner networks, which costs nothing more. Folds are by patient and stratified.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._abmil import probabilities, train
from napari_pathfm.evaluation._schedule import Schedule, Setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.evaluation._abmil import Abmil

#: Phikon's grid.
SETTINGS = tuple(Setting(*each) for each in product((1e-3, 1e-4), (0.0, 1e-4)))


@dataclass(frozen=True)
class Chosen:
    """What an inner cross-validation chose.

    Attributes
    ----------
    setting : Setting
        Learning rate and weight decay.
    epochs : int
        How many.
    auc : float
        Mean AUC over inner folds that it had.
    outside : ndarray
        float64 ``(k, W, C)``: what the inner networks said of slides outside.
    """

    setting: Setting
    epochs: int
    auc: float
    outside: NDArray[np.float64]


@dataclass(frozen=True)
class Nested:
    """Predictions of every slide by networks that have not seen its patient.

    Attributes
    ----------
    ensemble, retrained : ndarray
        float64 ``(S, C)``.
    chosen : list of Chosen
        One an outer fold.
    fold : ndarray
        int ``(S,)``: the outer fold of each slide.
    """

    ensemble: NDArray[np.float64]
    retrained: NDArray[np.float64]
    chosen: list[Chosen]
    fold: NDArray[np.int64]


def auc(labels: NDArray[np.int64], said: NDArray[np.floating]) -> float:
    """Area under the ROC; of several classes the mean of one against the rest.

    NaN where a class is missing on either side throughout.
    """
    from scipy.stats import rankdata

    areas = []
    columns = [1] if said.shape[1] == 2 else range(said.shape[1])
    for column in columns:
        positive = labels == column
        p, n = int(positive.sum()), int((~positive).sum())
        if p and n:
            ranks = rankdata(said[:, column])[positive].sum()
            areas.append((ranks - p * (p + 1) / 2) / (p * n))
    return float(np.mean(areas)) if areas else float("nan")


def patient_folds(
    labels: NDArray[np.int64], patients: NDArray[np.str_], k: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Split slides by patient, stratified.

    Raises
    ------
    PathfmError
        If a class has fewer patients than there are folds.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    fewest = min(len(set(patients[labels == label])) for label in set(labels.tolist()))
    if fewest < k:
        raise PathfmError(
            f"{k} folds need {k} patients of every class, and one has {fewest}: give "
            "more slides, or fewer --folds"
        )
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=seed)
    return list(splitter.split(np.zeros(len(labels)), labels, patients))


def choose(
    bags: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    *,
    classes: int,
    inner: int,
    settings: Sequence[Setting],
    schedule: Schedule,
    seed: int,
    outside: Sequence[NDArray[np.floating]] = (),
) -> Chosen:
    """Choose setting and epochs by the mean AUC of an inner cross-validation.

    Raises
    ------
    PathfmError
        If there are too few patients of a class, or no fold has two classes.
    """
    splits = patient_folds(labels, patients, inner, seed)
    best: Chosen | None = None
    for setting in settings:
        scores, said = [], []
        for number, (fitted, tested) in enumerate(splits):
            watch = [*(bags[i] for i in tested), *outside]
            _, watched = train(
                [bags[i] for i in fitted],
                labels[fitted],
                classes,
                setting,
                schedule,
                seed=seed + number,
                watch=watch,
            )
            own = labels[tested]
            scores.append([auc(own, each[: len(tested)]) for each in watched])
            said.append(watched[:, len(tested) :])
        if np.isnan(scores).all():
            raise PathfmError(
                "no inner fold holds two classes: give more slides, or fewer --folds"
            )
        means = np.nanmean(scores, axis=0)
        epoch = int(means.argmax())
        if best is None or means[epoch] > best.auc:
            outsiders = np.stack([each[epoch] for each in said])
            best = Chosen(setting, epoch + 1, float(means[epoch]), outsiders)
    assert best is not None
    return best


def nested_validation(
    bags: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    patients: NDArray[np.str_],
    *,
    outer: int = 5,
    inner: int = 5,
    settings: Sequence[Setting] = SETTINGS,
    schedule: Schedule | None = None,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Nested:
    """Predict every slide by networks chosen and trained on other patients.

    Raises
    ------
    PathfmError
        If there are too few patients of a class.
    """
    schedule = schedule or Schedule()
    classes = int(labels.max()) + 1
    ensemble, retrained = (np.empty((len(bags), classes)) for _ in range(2))
    chosen, fold = [], np.empty(len(bags), np.int64)
    for number, (fitted, tested) in enumerate(
        patient_folds(labels, patients, outer, seed)
    ):
        inside, outside = [bags[i] for i in fitted], [bags[i] for i in tested]
        found = choose(
            inside,
            labels[fitted],
            patients[fitted],
            classes=classes,
            inner=inner,
            settings=settings,
            schedule=schedule,
            seed=seed,
            outside=outside,
        )
        network = retrain(inside, labels[fitted], classes, found, schedule, seed)
        ensemble[tested] = found.outside.mean(0)
        retrained[tested] = probabilities(network, outside)
        fold[tested] = number
        chosen.append(found)
        if progress is not None:
            progress(number + 1, outer)
    return Nested(ensemble, retrained, chosen, fold)


def retrain(
    bags: Sequence[NDArray[np.floating]],
    labels: NDArray[np.int64],
    classes: int,
    chosen: Chosen,
    schedule: Schedule,
    seed: int,
) -> Abmil:
    """Train one network as was chosen, for just as many epochs."""
    from dataclasses import replace

    own = replace(schedule, epochs=chosen.epochs)
    return train(bags, labels, classes, chosen.setting, own, seed=seed)[0]
