"""HEST's protocol from tasks to a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.evaluation._bootstrap import DRAWS, Estimate, interval
from napari_pathfm.evaluation._colour import COLOUR
from napari_pathfm.evaluation._expression import (
    COMPONENTS,
    SEED,
    components,
    correlations,
    drawn_correlations,
    predict_expression,
)
from napari_pathfm.evaluation._expression_task import count_patches, encode_patches
from napari_pathfm.evaluation._h5ad import read_expression
from napari_pathfm.evaluation._plots import intervals
from napari_pathfm.evaluation._report import Plot, Report, Table, interval_words
from napari_pathfm.evaluation._tiles import encoder_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation._expression_task import ExpressionTask


@dataclass(frozen=True)
class _Found:
    """A task's correlations, ``(folds, G)``, and its draws', ``(folds, draws, G)``."""

    values: NDArray[np.float64]
    draws: NDArray[np.float64]
    colour: NDArray[np.float64]

    @property
    def mean(self) -> Estimate:
        """Mean over genes, then over folds."""
        return interval(float(_mean(self.values)), _mean(self.draws.swapaxes(0, 1)))

    @property
    def of_folds(self) -> list[Estimate]:
        """Mean over genes of each fold."""
        return [
            interval(float(_nanmean(value, 0)), _nanmean(drawn, 1))
            for value, drawn in zip(self.values, self.draws, strict=True)
        ]

    @property
    def of_genes(self) -> list[Estimate]:
        """Mean over folds of each gene."""
        drawn = _nanmean(self.draws, 0)
        return [
            interval(float(value), drawn[:, gene])
            for gene, value in enumerate(_nanmean(self.values, 0))
        ]


def expression(
    tasks: Sequence[ExpressionTask],
    encoder: Encoder,
    *,
    mpp: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Say how well a linear map tells the expression of genes from features.

    Parameters
    ----------
    tasks : sequence of ExpressionTask
        From `expression_tasks`.
    encoder : Encoder
        What looks.
    mpp : float, optional
        Micrometres per pixel of the patches, for the report: the files do not say.
    draws, seed : int
        Of the bootstrap over tested spots.
    progress : callable, optional
        Hears ``(patches done, patches)``.

    Raises
    ------
    PathfmError
        If a file is damaged, patches and expression share no barcodes, or a gene is
        missing.
    """
    samples = {one.patches: one for task in tasks for one in task.samples.values()}
    total = sum(count_patches(one) for one in samples.values())
    done = 0

    def hear(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    encoded = {
        path: encode_patches(one, encoder, hear) for path, one in samples.items()
    }
    found = {task.name: _measure(task, encoded, draws, seed) for task in tasks}
    means = {name: each.mean for name, each in found.items()}
    average = interval(
        float(np.mean([each.value for each in means.values()])),
        np.mean([_mean(each.draws.swapaxes(0, 1)) for each in found.values()], axis=0),
    )
    dim = encoder.feature_dim
    kept = min(
        components(sum(len(encoded[t.samples[s].patches][0]) for s in fitted), dim)
        for t in tasks
        for fitted, _ in t.folds
    )
    facts = encoder_facts(encoder) | {
        "n": f"{len(tasks)} tasks, {sum(len(t.folds) for t in tasks)} folds, "
        f"{len(samples)} sections, {total} patches",
        "genes": {task.name: list(task.genes) for task in tasks},
        "protocol": f"standardised, PCA to {kept} (seed {SEED}), ridge without "
        "intercept, penalty 100 / (components x genes), of log(1 + count)",
        "codec": "arrays in HDF5 (lossless); of the slide's file: not stated",
        "mpp": mpp,
        "intervals": interval_words(draws, "tested spots, regression kept", seed),
    }
    return Report(
        "expression",
        f"Gene expression from {encoder.spec.name}",
        facts,
        {
            "pearson_mean": average,
            "tasks": {task.name: _results(task, found[task.name]) for task in tasks},
        },
        [
            Table(
                "Pearson's correlation: mean over genes, then over folds",
                ["task", "value (95 % interval)", "std of folds", COLOUR],
                [
                    [
                        task.name,
                        means[task.name],
                        _spread(found[task.name]),
                        float(_mean(found[task.name].colour)),
                    ]
                    for task in tasks
                ]
                + ([["average", average, None, None]] if len(tasks) > 1 else []),
            ),
            *(_fold_table(task, found[task.name]) for task in tasks),
        ],
        [
            Plot(
                "Tasks: mean over genes, then over folds, with 95 % intervals.",
                intervals([*means.items()], (-1.0, 1.0)),
            ),
            *(_gene_plot(task, found[task.name]) for task in tasks),
        ],
        _notes(found, kept),
    )


def _measure(
    task: ExpressionTask,
    encoded: dict[Any, tuple[list[str], NDArray[np.float32], NDArray[np.float32]]],
    draws: int,
    seed: int,
) -> _Found:
    of = {name: encoded[one.patches] for name, one in task.samples.items()}
    expressed = {
        name: np.log1p(read_expression(one.expression, of[name][0], task.genes))
        for name, one in task.samples.items()
    }
    values, drawn, colour = [], [], []
    for number, (fitted, tested) in enumerate(task.folds):
        known, truth = (
            np.concatenate([expressed[name] for name in side])
            for side in (fitted, tested)
        )
        said = []
        for which in (1, 2):
            learn, look = (
                np.concatenate([of[name][which] for name in side])
                for side in (fitted, tested)
            )
            said.append(predict_expression(learn, known, look))
        values.append(correlations(truth, said[0]))
        # Each fold draws anew, in blocks that count their seeds on.
        own = seed + 1000 * number
        drawn.append(drawn_correlations(truth, said[0], draws=draws, seed=own))
        colour.append(correlations(truth, said[1]))
    return _Found(np.stack(values), np.stack(drawn), np.stack(colour))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over genes (the last axis), then over folds; NaN genes are left out."""
    return np.asarray(_nanmean(_nanmean(values, -1), -1))


def _nanmean(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Mean of what is not NaN; NaN where all is, without a warning."""
    known = ~np.isnan(values)
    count = known.sum(axis)
    total = np.where(known, values, 0.0).sum(axis)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _spread(found: _Found) -> float:
    return float(np.std(_nanmean(found.values, 1)))


def _results(task: ExpressionTask, found: _Found) -> dict[str, Any]:
    return {
        "pearson_mean": found.mean,
        "pearson_std": _spread(found),
        "mean_per_split": found.of_folds,
        f"pearson_mean_of_{COLOUR.replace(' ', '_')}": float(_mean(found.colour)),
        "genes": dict(zip(task.genes, found.of_genes, strict=True)),
        "genes_per_split": [
            dict(zip(task.genes, row, strict=True)) for row in found.values.tolist()
        ],
    }


def _fold_table(task: ExpressionTask, found: _Found) -> Table:
    return Table(
        f"{task.name}: folds",
        ["fold", "tested sections", "value (95 % interval)"],
        [
            [number, ", ".join(tested), estimate]
            for number, ((_, tested), estimate) in enumerate(
                zip(task.folds, found.of_folds, strict=True)
            )
        ],
    )


def _gene_plot(task: ExpressionTask, found: _Found) -> Plot:
    rows = sorted(
        zip(task.genes, found.of_genes, strict=True),
        key=lambda row: (np.isnan(row[1].value), -row[1].value),
    )
    return Plot(
        f"{task.name}: genes, mean over folds, with 95 % intervals.",
        intervals(rows, (-1.0, 1.0)),
    )


def _notes(found: dict[str, _Found], kept: int) -> list[str]:
    notes = [
        "Neighbouring spots are alike, and the bootstrap takes them as independent: "
        "intervals are too narrow, and say nothing of other patients. The deviation "
        "over folds does.",
        "Counts are not scaled by a spot's total, as in HEST's code, whose description "
        "says so.",
    ]
    if kept < COMPONENTS:
        notes.append(
            f"PCA keeps {kept} components, not HEST's {COMPONENTS}: there are no more "
            "numbers in a feature, or patches to learn from."
        )
    lost = sum(int(np.isnan(each.values).sum()) for each in found.values())
    if lost:
        notes.append(
            f"{lost} genes of folds are constant, as expressed or as predicted: they "
            "have no correlation and are left out of means, where HEST's would be NaN."
        )
    return notes
