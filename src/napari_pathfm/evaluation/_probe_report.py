"""The probe protocol from tiles to its report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._bootstrap import DRAWS
from napari_pathfm.evaluation._codec import codec_of
from napari_pathfm.evaluation._colour import COLOUR, colour_features
from napari_pathfm.evaluation._plots import intervals, matrix
from napari_pathfm.evaluation._probe import (
    NEIGHBOURS,
    Probed,
    balanced_accuracy,
    confusion,
    folds,
    linear,
    nearest,
)
from napari_pathfm.evaluation._report import Plot, Report, Table, interval_words
from napari_pathfm.evaluation._tiles import (
    encode_tiles,
    encoder_facts,
    field_crops,
    read_tile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation._labelled import Labelled


def probe(
    tiles: Labelled,
    encoder: Encoder,
    *,
    grid: int | None = None,
    mpp: float | None = None,
    neighbours: Sequence[int] = NEIGHBOURS,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Say how well simple classifiers tell labels from an encoder's features.

    Parameters
    ----------
    tiles : Labelled
        From `labelled_tiles`.
    encoder : Encoder
        What looks.
    grid : int, optional
        Take the mean feature of this many tiles along each side, cut from a picture at
        its own resolution and spread evenly; else the whole picture is resized to one
        tile, as EVA does.
    mpp : float, optional
        Micrometres per pixel of the pictures, for the report.
    neighbours : sequence of int
        How many vote.
    draws, seed : int
        Of the bootstrap, over groups where there are any.
    progress : callable, optional
        Hears ``(tiles done, tiles)``.

    Raises
    ------
    PathfmError
        If a picture is damaged or too small, or the tiles cannot be split.
    """
    splits, how = folds(tiles.labels, tiles.groups, tiles.test, seed)
    for fitted, _ in splits:
        if len(set(tiles.labels[fitted])) < 2:
            raise PathfmError("a training part has one class only: group otherwise")
    pictures = [read_tile(path) for path in tiles.paths]
    px, each = encoder.spec.tile_px, (grid or 1) ** 2
    cut = (tile for picture in pictures for tile in field_crops(picture, px, grid))
    features = encode_tiles(
        cut, encoder, total=each * len(pictures), progress=progress
    ).reshape(len(pictures), each, -1)
    spaces = features.mean(1), colour_features(pictures)
    tested = np.concatenate([rows for _, rows in splits])
    found = [nearest(spaces[0], tiles.labels, splits, k) for k in neighbours]
    found += [
        linear(spaces[0], tiles.labels, splits, tiles.groups),
        linear(spaces[1], tiles.labels, splits, tiles.groups, f"linear on {COLOUR}"),
    ]
    groups = None if tiles.groups is None else tiles.groups[tested]
    facts = encoder_facts(encoder) | {
        "n": f"{len(tiles.paths)} pictures of {len(tiles.classes)} classes, "
        f"{len(tested)} tested",
        "classes": {c: int((tiles.labels == c).sum()) for c in tiles.classes},
        "groups": None if tiles.groups is None else len(set(tiles.groups)),
        "split": how,
        "codec": codec_of(tiles.paths),
        "mpp": mpp,
        "pictures": "resized to one tile"
        if grid is None
        else f"mean of {grid} x {grid} tiles of {px} px",
        "intervals": interval_words(
            draws, "tested tiles" if groups is None else "groups", seed
        ),
    }
    labels = tiles.labels[tested]
    figures = {
        each.name: balanced_accuracy(
            labels, each.predicted, draws=draws, seed=seed, groups=groups
        )
        for each in found
    }
    return Report(
        "probe",
        f"Probes of {encoder.spec.name}",
        facts,
        {
            "balanced_accuracy": figures,
            "accuracy": {f.name: np.mean(labels == f.predicted) for f in found},
            "predictions": _predictions(tiles, tested, found),
        },
        [
            Table(
                "Balanced accuracy",
                ["classifier", "value (95 % interval)", "accuracy"],
                [
                    [f.name, figures[f.name], float(np.mean(labels == f.predicted))]
                    for f in found
                ],
            )
        ],
        [
            Plot(
                "Balanced accuracy, with 95 % intervals.", intervals([*figures.items()])
            ),
            Plot(
                "Linear probe: share of each class (rows) called each class.",
                matrix(
                    confusion(labels, found[-2].predicted, tiles.classes),
                    tiles.classes,
                    tiles.classes,
                    (0.0, 1.0),
                ),
            ),
        ],
        _notes(tiles, groups),
    )


def _notes(tiles: Labelled, groups: Any) -> list[str]:
    notes = [
        f"By chance balanced accuracy is {1 / len(tiles.classes):.3f}. Colour and "
        "contrast alone are the floor that an encoder has to pass.",
        "EVA trains its linear head by AdamW and stops early; here the same loss is "
        "minimised to the end, with an L2 penalty chosen within the training part.",
    ]
    if groups is None:
        notes.append(
            "No groups were given: tiles of one patient may be on both sides of a "
            "split, which makes every encoder look better than it is."
        )
    elif len(set(groups)) < 10:
        notes.append(
            f"{len(set(groups))} groups are few: read the intervals as a hint only."
        )
    return notes


def _predictions(
    tiles: Labelled, tested: Any, found: Sequence[Probed]
) -> list[dict[str, str]]:
    return [
        {"file": tiles.paths[row].name, "label": str(tiles.labels[row])}
        | {f.name: str(f.predicted[at]) for f in found}
        for at, row in enumerate(tested)
    ]
