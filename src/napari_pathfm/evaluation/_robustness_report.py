"""The robustness protocol's figures as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.evaluation._plots import intervals, matrix
from napari_pathfm.evaluation._report import Plot, Report, Table, interval_words
from napari_pathfm.evaluation._robustness import GROUPS, MEASURES, SCORE, Robustness

if TYPE_CHECKING:
    from napari_pathfm.evaluation._registered import Registered

_WORDS = {
    "scanner": "across scanners (same staining)",
    "staining": "across stainings (same scanner)",
    "both": "across both",
    "all": "all pairs",
}


def robustness_report(
    registered: Registered, found: Robustness, *, draws: int, seed: int
) -> Report:
    """Report what `robustness` found of a set."""
    score = found.score()
    groups: dict[str, Any] = {
        group: {measure: found.summary(group, measure) for measure in MEASURES}
        for group in GROUPS
    }
    facts = registered.facts | {
        "n": f"{len(found.conditions)} slides, {found.n} places, "
        f"{len(found.pairs)} pairs",
        "slides": len(found.conditions),
        "n_places": found.n,
        "stainings": sorted({c.staining for c in found.conditions}),
        "scanners": sorted({c.scanner for c in found.conditions}),
        "intervals": interval_words(draws, "places, the gallery kept", seed),
    }
    notes = [
        "Fewer places make retrieval easier: compare only at the same number of "
        "places. plism-benchmark's leaderboard takes 8,139.",
        "Top-k searches the tiles of both slides, as plism-benchmark; the other "
        "slide's top-k searches those of the other slide alone, as it does not.",
        f"By chance a top-10 would be {10 / (2 * found.n - 1):.3f}, the other slide's "
        f"top-1 {1 / found.n:.3f}.",
        "A high cosine alone says little: features that are all alike have one.",
        *registered.notes,
    ]
    if score is None:
        notes.append(
            "The four-median score needs several stainings and several scanners, with "
            "pairs that differ in both."
        )
    pairs = [
        {
            "slides": [found.conditions[i].name for i in pair],
            **dict(zip(MEASURES, values, strict=True)),
        }
        for pair, values in zip(found.pairs, found.values.tolist(), strict=True)
    ]
    results = {"score": score, "groups": groups, "pairs": pairs}
    return Report(
        "robustness",
        f"Robustness of {facts['encoder']}",
        facts,
        results,
        [_score_table(found, score), *_group_tables(groups)],
        [_interval_plot(groups), *(_matrix(found, m) for m in ("cosine", "top-10"))],
        notes,
    )


def _score_table(found: Robustness, score: Any) -> Table:
    rows = []
    for group, measure in SCORE:
        summary = found.summary(group, measure)
        rows.append([f"{measure}, {_WORDS[group]}", summary and summary["median"]])
    return Table(
        "Score: the mean of four medians",
        ["median of", "value (95 % interval)"],
        [*rows, ["score", score]],
    )


def _group_tables(groups: dict[str, Any]) -> list[Table]:
    columns = ["", "pairs", "median (95 % interval)", "quartile range", "mean", "SD"]
    return [
        Table(
            _WORDS[group].capitalize(),
            columns,
            [
                [name, s["pairs"], s["median"], s["iqr"], s["mean"], s["std"]]
                for name, s in measures.items()
            ],
        )
        for group, measures in groups.items()
        if measures["cosine"] is not None
    ]


def _interval_plot(groups: dict[str, Any]) -> Plot:
    rows = [
        (f"{measure}, {group}", summary["median"])
        for measure in ("cosine", "top-1", "top-10", "other slide's top-1")
        for group, measures in groups.items()
        if (summary := measures[measure]) is not None
    ]
    return Plot("Medians over pairs of slides, with 95 % intervals.", intervals(rows))


def _matrix(found: Robustness, measure: str) -> Plot:
    order = sorted(
        range(len(found.conditions)),
        key=lambda i: (found.conditions[i].staining, found.conditions[i].scanner),
    )
    place = {slide: at for at, slide in enumerate(order)}
    values = np.full((len(order), len(order)), np.nan)
    for (i, j), measured in zip(found.pairs, found.values, strict=True):
        value = measured[MEASURES.index(measure)]
        values[place[int(i)], place[int(j)]] = values[place[int(j)], place[int(i)]] = (
            value
        )
    names = [found.conditions[i].name for i in order]
    return Plot(f"{measure.capitalize()} of every pair.", matrix(values, names, names))
