"""The generation protocol's figures as a report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pathfm.evaluation._bootstrap import DRAWS
from napari_pathfm.evaluation._colour import COLOUR
from napari_pathfm.evaluation._generation import (
    FIGURES,
    Copied,
    compare_spaces,
    find_copies,
)
from napari_pathfm.evaluation._plots import intervals
from napari_pathfm.evaluation._report import Plot, Report, Table, interval_words
from napari_pathfm.evaluation._tiles import encoder_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation._bootstrap import Estimate
    from napari_pathfm.evaluation._sides import Sides


def generation(
    sides: Sides,
    encoders: Sequence[Encoder],
    *,
    conditioned_by: Sequence[str] = (),
    mpp: float | None = None,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Say how near generated tiles are to real ones, and whether they are copies.

    Parameters
    ----------
    sides : Sides
        From `equal_sides`.
    encoders : sequence of Encoder
        Whose features are compared. One at least should not have conditioned the
        generator, for which tiles look good by construction.
    conditioned_by : sequence of str
        Names of the encoders that did.
    mpp : float, optional
        Micrometres per pixel of the tiles, for the report.
    draws, seed : int
        Of the bootstrap, and of what is planted.
    progress : callable, optional
        Hears ``(arms done, arms)``.
    """
    spaces = compare_spaces(sides, encoders, draws=draws, seed=seed, progress=progress)
    judges = [e for e in encoders if e.spec.name not in conditioned_by]
    judge = judges[0] if judges else encoders[0]
    copies = find_copies(sides, judge, seed, texture_alone=not judges)
    described = [encoder_facts(encoder) for encoder in encoders]
    dims = {e.spec.name: e.feature_dim for e in encoders} | {COLOUR: 9}
    facts = {
        "encoder": ", ".join(str(each["encoder"]) for each in described),
        "revision": ", ".join(str(each["revision"]) for each in described),
        "pooling": ", ".join(str(each["pooling"]) for each in described),
        "dimensions": dims,
        "conditioned_by": list(conditioned_by) or None,
        **sides.facts,
        "mpp": mpp,
        "intervals": "distances: 95 %, jackknife over tenths of both sides; the rest: "
        + interval_words(draws, "tiles, the balls kept", seed),
    }
    results: dict[str, Any] = {"spaces": spaces, "copies": _copies(copies)}
    if sides.train:
        results["gap"] = {space: _gap(arms) for space, arms in spaces.items()}
    return Report(
        "generation",
        f"Generated tiles: {sides.facts['generated']}",
        facts,
        results,
        [*_tables(spaces), _copies_table(copies)],
        [_plot(space, arms) for space, arms in spaces.items()],
        _notes(facts, dims, conditioned_by),
    )


def _gap(arms: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, float]]:
    """Held-out minus training, of generated tiles and of real held-out ones."""
    return {
        name: {
            figure: arms[name][figure].value
            - arms[f"{name}, to training tiles"][figure].value
            for figure in FIGURES
        }
        for name in ("generated", "floor (real)")
    }


def _copies(copies: Copied) -> dict[str, Any]:
    return {
        "flagged": float(copies.flagged.mean()),
        "n_flagged": int(copies.flagged.sum()),
        "planted_found": copies.found,
        "planted_each": copies.planted,
        "false_alarms": copies.false_alarms,
        "originals": copies.originals,
        "searched": copies.known,
        "thresholds": copies.thresholds,
    }


def _tables(spaces: dict[str, dict[str, dict[str, Estimate]]]) -> list[Table]:
    return [
        Table(
            f"Under {space}",
            ["against as many real tiles", *FIGURES],
            [
                [arm, *(figures[name] for name in FIGURES)]
                for arm, figures in arms.items()
            ],
        )
        for space, arms in spaces.items()
    ]


def _copies_table(copies: Copied) -> Table:
    return Table(
        f"Copies, looked for among {copies.known} real tiles",
        ["tiles", "n", "share flagged"],
        [
            ["generated", len(copies.flagged), float(copies.flagged.mean())],
            ["real, no copies", copies.originals, copies.false_alarms],
            *(
                [f"planted: {way}", copies.planted, share]
                for way, share in copies.found.items()
            ),
        ],
    )


def _plot(space: str, arms: dict[str, dict[str, Estimate]]) -> Plot:
    rows = [(arm, figures["Frechet"]) for arm, figures in arms.items()]
    most = max(max(figure.value, figure.high) for _, figure in rows)
    return Plot(
        f"Frechet distance under {space}, with 95 % intervals.",
        intervals(rows, (0.0, most if most > 0 else 1.0)),
    )


def _notes(
    facts: dict[str, Any], dims: dict[str, int], conditioned_by: Sequence[str]
) -> list[str]:
    notes = [
        "The floor is what real tiles score against other real tiles of the same "
        "folder; read every figure beside it. Distances fall with n: compare only at "
        "the same n, encoder, codec and size.",
        "The JPEG arm compresses one side alone: where its rows move as far as a "
        "difference that you want to claim, codec may be the cause of that difference.",
        "A folder's file format is checked; what slides did to the pixels before they "
        "were cut is not known.",
    ]
    names = str(facts["encoder"]).split(", ")
    short = [name for name in names if facts["n"] <= dims[name]]
    if short:
        notes.append(
            f"n is not above the dimensions of {', '.join(short)}: the covariances are "
            "singular, and the distance mostly says how many tiles there are."
        )
    if facts["train"]:
        notes.append(
            "Slide-level overfitting shows where generated tiles are nearer to the "
            "training tiles than to the held-out ones by more than real held-out tiles "
            "are (the two arms that end in: to training tiles)."
        )
    if not conditioned_by:
        notes.append("Which encoder conditioned the generator is not known.")
    elif not set(names) - set(conditioned_by):
        notes.append(
            "All encoders here condition the generator, so its tiles look good under "
            f"them by construction. Only {COLOUR} is independent: give one more."
        )
    return notes
