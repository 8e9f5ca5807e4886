"""Whether another way of making an image gives the same one: tried once, recorded."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from napari_pathfm.generators._make import Report
    from napari_pathfm.generators._native import NativeSiT
    from napari_pathfm.generators._settings import Settings

_LOG = logging.getLogger(__name__)
# Steps of the comparison, and how far apart values of the two images may be, of 255.
# The paths differ in rounding alone: one truncates where the other rounds.
PARITY_STEPS = 4
_MOST, _MEAN = 4, 0.75
_CANDIDATES = ("sde", "euler", "heun")
# How far half precision may be from single on average, of 255: less than what saving
# as JPEG of quality 95 costs.
_HALF_MEAN = 1.0


@dataclass(frozen=True)
class Parity:
    """What came of comparing our way with a pipeline's own.

    Attributes
    ----------
    passed : bool
        Whether one of our samplers gave the pipeline's image.
    sampler : str
        Which came nearest.
    max_difference, mean_difference : int, float
        Between the two images, of 255.
    says : str
        The outcome in words.
    """

    passed: bool
    sampler: str
    max_difference: int
    mean_difference: float
    says: str


def compare(
    native: NativeSiT,
    own: Callable[[Settings], NDArray[np.uint8]],
    row: NDArray[np.float32],
    settings: Settings,
    report: Report,
) -> Parity:
    """Make one image of a few steps both ways, from the same seed.

    Which sampler a pipeline has is not known, so each of ours that could be it is
    tried.

    Parameters
    ----------
    native : NativeSiT
    own : callable
        ``own(settings)`` makes the pipeline's image with seed 0.
    row : ndarray
        float32 ``(D,)``: some condition.
    settings : Settings
        Whose guidance and interval are used.
    report : callable
        Hears of each pass, so that the comparison can be stopped too.
    """
    settings = replace(settings, steps=PARITY_STEPS)
    theirs = own(settings).astype(np.int16)
    outcomes = []
    for sampler in _CANDIDATES:
        ours = native.draw(
            row,
            0,
            replace(settings, sampler=sampler),
            lambda _done, _preview: report(0, None),
            watched=False,
        )
        if ours.shape != theirs.shape:
            return Parity(
                False, sampler, 255, 255.0, f"sizes differ: {ours.shape[:2]} px"
            )
        apart = np.abs(ours - theirs)
        outcomes.append((float(apart.mean()), int(apart.max()), sampler))
    mean, most, sampler = min(outcomes)
    passed = most <= _MOST and mean <= _MEAN
    return Parity(
        passed,
        sampler,
        most,
        round(mean, 4),
        f"{'equals' if passed else 'differs from'} the repository's pipeline after "
        f"{PARITY_STEPS} steps of {sampler}: at most {most}, on average {mean:.2f} of "
        "255",
    )


def compare_precision(
    half: NativeSiT,
    exact: NativeSiT,
    precision: str,
    row: NDArray[np.float32],
    settings: Settings,
    report: Report,
) -> Parity:
    """Make one image of a few steps in half and in single precision, same seed.

    Parameters
    ----------
    half, exact : NativeSiT
    precision : str
        Name of the first one's.
    row : ndarray
        float32 ``(D,)``: some condition.
    settings : Settings
        Whose sampler, guidance and interval are used.
    report : callable
        Hears of each pass, so that the comparison can be stopped too.

    Returns
    -------
    Parity
        Passed if the images are at most 1 of 255 apart on average.
    """
    few = replace(settings, steps=PARITY_STEPS)

    def pulse(_done: int, _preview: NDArray[np.uint8] | None) -> None:
        report(0, None)

    ours, theirs = (
        way.draw(row, 0, few, pulse, watched=False).astype(np.int16)
        for way in (half, exact)
    )
    apart = np.abs(ours - theirs)
    mean = float(apart.mean())
    return Parity(
        mean <= _HALF_MEAN,
        few.sampler,
        int(apart.max()),
        round(mean, 4),
        f"{precision} is {mean:.2f} of 255 from fp32 on average after {PARITY_STEPS} "
        f"steps of {few.sampler}",
    )


def recorded(revision: str, device: str) -> Parity | None:
    """Give what an earlier comparison of these weights on this machine said."""
    path = _record(revision, device)
    if not path.is_file():
        return None
    try:
        return Parity(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        return None  # of another version, or damaged: compare again


def record(parity: Parity, revision: str, device: str) -> None:
    """Keep the outcome; where the cache cannot be written, it is compared again."""
    path = _record(revision, device)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=path.parent, suffix=".part", delete=False
        ) as file:
            json.dump(asdict(parity), file, indent=1)
        os.replace(file.name, path)
    except OSError as error:
        _LOG.warning("the comparison is not kept in %s: %s", path, error.strerror)


def _record(revision: str, device: str) -> Path:
    import platformdirs
    import torch

    from napari_pathfm import __version__

    told = os.environ.get("NAPARI_PATHFM_CACHE")
    folder = Path(told or platformdirs.user_cache_dir("napari-pathfm")) / "parity"
    kind = f"{revision}_{device}_{__version__}_torch{torch.__version__}"
    return folder / f"{kind.replace(':', '-')}.json"
