"""The slides protocol: cross-validated heads, their report, and one to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.evaluation._bootstrap import DRAWS, Estimate, interval
from napari_pathfm.evaluation._head import Head
from napari_pathfm.evaluation._plots import intervals
from napari_pathfm.evaluation._report import Plot, Report, Table, interval_words
from napari_pathfm.evaluation._schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_pathfm.evaluation._nested import Nested
    from napari_pathfm.evaluation._schedule import Setting
    from napari_pathfm.evaluation._slides import SlideSet


def validate_slides(
    slides: SlideSet,
    *,
    folds: int = 5,
    settings: Sequence[Setting] | None = None,
    schedule: Schedule | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Cross-validate heads, nested, and compare ensembling with training once.

    Parameters
    ----------
    slides : SlideSet
        From `labelled_slides`.
    folds : int
        Outer and inner.
    settings, schedule : optional
        Phikon's by default.
    draws, seed : int
        Of the bootstrap over patients; the seed also of folds and weights.
    progress : callable, optional
        Hears ``(outer folds done, outer folds)``.
    """
    from napari_pathfm.evaluation._nested import SETTINGS, nested_validation

    found = nested_validation(
        slides.bags,
        slides.labels,
        slides.patients,
        outer=folds,
        inner=folds,
        settings=settings or SETTINGS,
        schedule=schedule,
        seed=seed,
        progress=progress,
    )
    figures = _figures(slides, found, draws, seed)
    counts = np.bincount(slides.labels).tolist()
    facts = {
        "encoder": slides.features["encoder"],
        "revision": slides.features["weights_revision"],
        **{key: slides.features[key] for key in ("pooling", "mpp", "tile_px")},
        "n": f"{len(slides.names)} slides of {len(set(slides.patients))} patients",
        "classes": dict(zip(slides.classes, counts, strict=True)),
        "tiles": sum(map(len, slides.bags)),
        "codec": "as in the slides",
        "protocol": f"{folds} x {folds} nested cross-validation by patient, stratified",
        "intervals": interval_words(draws, "patients, networks kept", seed),
    }
    return Report(
        "slides",
        f"Slide-level heads on {facts['encoder']}",
        facts,
        {
            "auc": figures,
            "chosen": [
                {"rate": c.setting.rate, "decay": c.setting.decay, "epochs": c.epochs}
                for c in found.chosen
            ],
            "predictions": [
                {
                    "slide": name,
                    "label": slides.classes[label],
                    "fold": int(fold),
                    "ensemble": dict(zip(slides.classes, row, strict=True)),
                }
                for name, label, fold, row in zip(
                    slides.names,
                    slides.labels,
                    found.fold,
                    found.ensemble.tolist(),
                    strict=True,
                )
            ],
        },
        [
            Table(
                "AUC",
                ["", "value (95 % interval)"],
                [[*row] for row in figures.items()],
            )
        ],
        [Plot("AUC, with 95 % intervals.", intervals([*figures.items()][:2]))],
        [
            "Ensemble: mean prediction of the inner folds' networks. Retrained: one "
            "network on all of them. Both saw no slide of the patients they predict.",
            "Predictions of all outer folds are pooled into one AUC.",
        ],
    )


def train_head(
    slides: SlideSet,
    report: Report,
    *,
    folds: int = 5,
    settings: Sequence[Setting] | None = None,
    schedule: Schedule | None = None,
    seed: int = 0,
) -> Head:
    """Train the ensemble on all slides; its provenance says how it did in `report`."""
    from dataclasses import asdict, replace

    from napari_pathfm import __version__
    from napari_pathfm.evaluation._abmil import train
    from napari_pathfm.evaluation._nested import SETTINGS, choose, patient_folds
    from napari_pathfm.evaluation._report import plain

    schedule = schedule or Schedule()
    chosen = choose(
        slides.bags,
        slides.labels,
        slides.patients,
        classes=len(slides.classes),
        inner=folds,
        settings=settings or SETTINGS,
        schedule=schedule,
        seed=seed,
    )
    own = replace(schedule, epochs=chosen.epochs)
    networks = [
        train(
            [slides.bags[i] for i in fitted],
            slides.labels[fitted],
            len(slides.classes),
            chosen.setting,
            own,
            seed=seed + number,
        )[0]
        for number, (fitted, _) in enumerate(
            patient_folds(slides.labels, slides.patients, folds, seed)
        )
    ]
    provenance = {
        "features": slides.features,
        "training": asdict(own) | asdict(chosen.setting) | {"seed": seed},
        "slides": len(slides.names),
        "patients": len(set(slides.patients)),
        "cross_validated": plain(report.results["auc"]),
        "software": f"napari-pathfm {__version__}",
        "notice": "For research only, not for diagnosis.",
    }
    return Head(tuple(networks), slides.classes, provenance)


def _figures(
    slides: SlideSet, found: Nested, draws: int, seed: int
) -> dict[str, Estimate]:
    from napari_pathfm.evaluation._nested import auc

    patients, of = np.unique(slides.patients, return_inverse=True)
    members = [np.flatnonzero(of == i) for i in range(len(patients))]
    rng = np.random.default_rng(seed)
    samples = [
        np.concatenate(
            [members[i] for i in rng.integers(0, len(members), len(members))]
        )
        for _ in range(draws)
    ]
    values, drawn = {}, {}
    for name, said in (("ensemble", found.ensemble), ("retrained", found.retrained)):
        values[name] = auc(slides.labels, said)
        drawn[name] = np.array([auc(slides.labels[s], said[s]) for s in samples])
    figures = {name: interval(values[name], drawn[name]) for name in values}
    figures["ensemble over retrained"] = interval(
        values["ensemble"] - values["retrained"], drawn["ensemble"] - drawn["retrained"]
    )
    return figures
