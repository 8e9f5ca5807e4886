"""How near generated tiles are to real ones, in several feature spaces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pathfm.evaluation._bootstrap import (
    DRAWS,
    Estimate,
    bootstrap_counts,
    interval,
    jackknife,
)
from napari_pathfm.evaluation._colour import COLOUR, colour_features
from napari_pathfm.evaluation._copies import Gallery, Threshold, is_blank, plants
from napari_pathfm.evaluation._distances import frechet_distance, kernel_distance
from napari_pathfm.evaluation._manifold import NEIGHBOUR, manifold
from napari_pathfm.evaluation._sides import recompressed
from napari_pathfm.evaluation._tiles import encode_tiles, fit

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from napari_pathfm.encoders import Encoder
    from napari_pathfm.evaluation._sides import Sides

#: JPEG qualities of the arm that shows what compressing one side does.
QUALITIES = (75, 85, 95)

#: Figures of an arm, in the order of a table's columns.
FIGURES = ("Frechet", "KID", "precision", "recall", "density", "coverage")

# Real tiles that are disguised to see whether copies are found.
_PLANTED = 50


@dataclass(frozen=True)
class Copied:
    """What was found of copies.

    Attributes
    ----------
    flagged : ndarray of bool
        ``(n,)``: the generated tiles that are suspect.
    found : dict of str to float
        Share of planted copies that was flagged, by how they were disguised.
    planted : int
        Copies a way.
    false_alarms : float
        Share of real tiles flagged that are no copies and set no threshold.
    originals : int
        How many those were.
    known : int
        How many tiles were searched.
    thresholds : dict of str to float
        By pixels, and by embedding where the encoder did not condition the generator.
    """

    flagged: NDArray[np.bool_]
    found: dict[str, float]
    planted: int
    false_alarms: float
    originals: int
    known: int
    thresholds: dict[str, float]


def compare(
    real: NDArray[np.floating],
    other: NDArray[np.floating],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Measure `FIGURES` of as many features on both sides.

    Distances get their intervals by the jackknife over both sides, the other figures by
    the bootstrap over features whose balls are kept.
    """
    n = len(real)
    counts = bootstrap_counts(n, draws=draws, seed=seed) / n
    found = {
        "Frechet": jackknife(
            lambda rows: frechet_distance(real[rows], other[rows]), n, seed=seed
        ),
        "KID": jackknife(
            lambda rows: kernel_distance(real[rows], other[rows]), n, seed=seed
        ),
    }
    balls = manifold(real, other, NEIGHBOUR)
    for name in FIGURES[2:]:
        each = getattr(balls, name)
        found[name] = interval(float(each.mean()), counts @ each)
    return found


def compare_spaces(
    sides: Sides,
    encoders: Sequence[Encoder],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, dict[str, dict[str, Estimate]]]:
    """Measure every arm under every encoder, and by colour and contrast alone.

    Returns
    -------
    dict
        ``[space][arm][figure]``. The first arm is the generated side; *floor* is real
        tiles against real; then each of both sent through JPEG; and, where training
        tiles are given, each against those.
    """
    arms = {"generated": sides.generated, "floor (real)": sides.floor}
    for quality in QUALITIES:
        for name in ("generated", "floor (real)"):
            arms[f"{name}, JPEG {quality}"] = recompressed(arms[name], quality)
    total = (len(encoders) + 1) * len(arms)
    done = 0
    results: dict[str, dict[str, dict[str, Estimate]]] = {}
    for space, embed in _spaces(encoders):
        real = embed(sides.real)
        features = {}
        for name, tiles in arms.items():
            features[name] = embed(tiles)
            done += 1
            if progress is not None:
                progress(done, total)
        found = {
            name: compare(real, each, draws=draws, seed=seed)
            for name, each in features.items()
        }
        if sides.train:
            train = embed(sides.train)
            found |= {
                f"{name}, to training tiles": compare(
                    train, features[name], draws=draws, seed=seed
                )
                for name in ("generated", "floor (real)")
            }
        results[space] = found
    return results


def find_copies(
    sides: Sides, encoder: Encoder, seed: int = 0, *, texture_alone: bool = False
) -> Copied:
    """Look for copies of `Sides.known`, and measure how well such are found.

    Half of the floor sets the threshold, the other half counts false alarms. For
    `texture_alone` see `Threshold.of`.
    """
    gallery = Gallery(sides.known(), encoder)
    known = [t for t in sides.train or sides.real if not is_blank(t)][:_PLANTED]
    half = len(sides.floor) // 2
    limit = Threshold.of(
        gallery.closeness(sides.floor[:half]), texture_alone=texture_alone
    )
    originals = sides.floor[half:]
    found = {
        way: float(limit.flags(gallery.closeness(tiles)).mean())
        for way, tiles in plants(known, seed).items()
    }
    thresholds = {"pixel correlation": limit.pixels}
    if limit.embedding is not None:
        thresholds["embedding cosine"] = limit.embedding
    return Copied(
        limit.flags(gallery.closeness(sides.generated)),
        found,
        len(known),
        float(limit.flags(gallery.closeness(originals)).mean()),
        len(originals),
        len(gallery),
        thresholds,
    )


def _spaces(encoders: Sequence[Encoder]) -> list[tuple[str, Any]]:
    def embed(encoder: Encoder) -> Any:
        px = encoder.spec.tile_px
        return lambda tiles: encode_tiles((fit(tile, px) for tile in tiles), encoder)

    return [
        *((encoder.spec.name, embed(encoder)) for encoder in encoders),
        (COLOUR, colour_features),
    ]
