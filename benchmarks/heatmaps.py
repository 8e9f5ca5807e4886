"""How fast a map answers, and how good a handful of labels is.

``python benchmarks/heatmaps.py`` prints, within five minutes on two cores:

- a prompt to its heatmap over 10^5 and 10^6 vectors of 768 in memory (``--huge``: 10^7,
  which takes 16 GB), in milliseconds, over plain NumPy in single precision and over the
  rate at which the machine reads memory
- 500 labels to a refitted classifier and its map over 10^5 tiles
- the same with what follows the map: cross-validation

``python benchmarks/heatmaps.py --tiles FOLDER`` simulates an annotator on fields whose
names begin with their class, ``CLASS___Case-N-...jpg``, and prints balanced accuracy on
cases that were left out (``--by field``: on fields): labels drawn at random, and labels
that the "label next" loop asks for.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.heatmaps import (
    ClassMaps,
    LabelledTiles,
    UnitVectors,
    classes_named,
    fit_few_shot,
    label_next,
    similarity,
    validate,
)
from napari_pathfm.slides import TileGrid

if TYPE_CHECKING:
    from collections.abc import Callable

DIM = 768
ROUNDS = 7
ATTRS = {"encoder": "random", "weights_revision": "0", "pooling": "cls"}
ATTRS |= {"slide_mpp": 0.5, "mpp": 0.5, "tile_px": 224, "icc_applied": False}


def lattice(n: int) -> TileGrid:
    columns = int(np.ceil(np.sqrt(n)))
    cells = np.stack(np.divmod(np.arange(n), columns), axis=1).astype(np.int32)
    rows = int(cells[-1, 0]) + 1
    coords = (cells[:, ::-1] * 224).astype(np.int32)
    return TileGrid(
        coords,
        px=224,
        mpp=0.5,
        tile_size=224.0,
        stride=224,
        origin=(0, 0),
        shape=(rows, columns),
        cells=cells,
        mask={},
    )


def random_vectors(n: int) -> np.ndarray:
    rng = np.random.default_rng(0)
    out = np.empty((n, DIM), np.float16)
    for start in range(0, n, 100_000):
        rows = out[start : start + 100_000]
        rows[:] = rng.standard_normal(rows.shape, np.float32)
    return out


def of(features: np.ndarray) -> UnitVectors:
    n = len(features)
    return UnitVectors(features, lattice(n), np.ones(n, bool), dict(ATTRS), "random")


def milliseconds(*calls: Callable[[], object]) -> list[float]:
    """Median of interleaved rounds."""
    took: list[list[float]] = [[] for _ in calls]
    for _ in range(ROUNDS):
        for times, call in zip(took, calls, strict=True):
            start = time.perf_counter()
            call()
            times.append((time.perf_counter() - start) * 1e3)
    return [float(np.median(times)) for times in took]


def prompts(sizes: list[int]) -> None:
    for n in sizes:
        features = random_vectors(n)
        vectors = of(features)
        calls: list[Callable[[], object]] = [
            lambda v=vectors: similarity(v, [(100.0, 100.0)]),
            lambda v=vectors: v.dot(v.rows([0])[0]),
        ]
        calls.append(lambda f=features: f.view(np.uint64).sum())
        if n <= 1_000_000:
            single = features.astype(np.float32)
            calls.append(lambda s=single: s @ s[0])
        heatmap, dot, reading, *plain = milliseconds(*calls)
        over = f", NumPy float32 alone {plain[0]:.1f}" if plain else ""
        print(
            f"prompt to heatmap, {n:,} vectors: {heatmap:.1f} ms (products {dot:.1f}; "
            f"reading as many bytes {reading:.1f}{over})"
        )


def labels() -> None:
    n, k = 100_000, 4
    rng = np.random.default_rng(1)
    features = random_vectors(n)
    kinds = rng.integers(k, size=n)
    centres = rng.standard_normal((k, DIM)).astype(np.float32)
    features += 0.5 * centres[kinds].astype(np.float16)
    vectors = of(features)
    rows = np.sort(rng.choice(n, 500, replace=False))
    classes = classes_named(f"class {i}" for i in range(k))
    tiles = LabelledTiles(classes, rows, kinds[rows])

    def fit() -> object:
        return fit_few_shot(vectors, tiles)

    def both() -> object:
        return ClassMaps(vectors, fit_few_shot(vectors, tiles)).likeliest()

    fitted, mapped, checked = milliseconds(fit, both, lambda: validate(vectors, tiles))
    print(
        f"500 labels of {k} classes, 10^5 tiles: {mapped:.0f} ms to the new map, "
        f"{fitted:.0f} of them to fit; cross-validation after it {checked:.0f} ms"
    )


def fields(
    folder: Path, encoder: str, by: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Embed every field in tiles: vectors, classes, what is left out together."""
    from PIL import Image

    from napari_pathfm.encoders import load_encoder

    model, side = load_encoder(encoder), 224
    paths = sorted(folder.glob("*.jpg"))
    names = sorted({path.name.split("___")[0] for path in paths})
    seen: dict[str, list[str]] = {name: [] for name in names}
    vectors, kinds, cases = [], [], []
    for path in paths:
        field = np.asarray(Image.open(path).convert("RGB"))
        corners = range(0, field.shape[0] - side + 1, side)
        crops = [field[y : y + side, x : x + side] for y in corners for x in corners]
        vectors.append(model.encode(np.stack(crops)).pooled)
        kind, name = path.name.split("___")
        found = re.match(r"(Case-\d+|P\d+)", name)
        # Every fifth field of a class, or every case, is left out together.
        fold = str(len(set(seen[kind])) % 5)
        seen[kind].append(name)
        kinds += [names.index(kind)] * len(crops)
        case = found.group(1) if found else name
        cases += [case if by == "case" else fold] * len(crops)
    print(
        f"{encoder}: {len(paths)} fields, {len(kinds)} tiles of {', '.join(names)}; "
        f"{by}s left out in turn: {', '.join(sorted(set(cases)))}"
    )
    return np.concatenate(vectors).astype(np.float16), np.array(kinds), np.array(cases)


def annotate(folder: Path, encoder: str, by: str, seeds: int) -> None:
    vectors, kinds, cases = fields(folder, encoder, by)
    k = int(kinds.max()) + 1
    for budget in (5, 20):
        scores: dict[str, list[float]] = {"random": [], "label next": []}
        for seed, how in ((seed, how) for seed in range(seeds) for how in scores):
            guess = np.full(len(kinds), -1)
            for case in sorted(set(cases)):
                inside, outside = cases != case, cases == case
                pool, known = of(vectors[inside]), kinds[inside]
                rng = np.random.default_rng(seed)
                first = [int(rng.choice(np.flatnonzero(known == i))) for i in range(k)]
                rows = grow(pool, known, first, budget * k, how, rng)
                classifier = fit_few_shot(pool, labelled(known, rows))
                chances = classifier.probabilities(of(vectors[outside]))
                guess[outside] = chances.argmax(axis=1)
            recall = [(guess[kinds == i] == i).mean() for i in range(k)]
            scores[how].append(float(np.mean(recall)))
        drawn, asked = (np.array(values) for values in scores.values())
        better = asked - drawn
        error = better.std(ddof=1) / np.sqrt(seeds)
        print(
            f"  {budget * k} labels ({budget} a class): balanced accuracy "
            f"{drawn.mean():.3f} of random labels, {asked.mean():.3f} of labels asked "
            f"for; {better.mean():+.3f} ± {error:.3f} (standard error, {seeds} seeds)"
        )


def labelled(kinds: np.ndarray, rows: list[int]) -> LabelledTiles:
    order = np.sort(np.array(rows))
    classes = classes_named(str(i) for i in range(int(kinds.max()) + 1))
    return LabelledTiles(classes, order, kinds[order])


def grow(
    pool: UnitVectors,
    kinds: np.ndarray,
    first: list[int],
    total: int,
    how: str,
    rng: np.random.Generator,
) -> list[int]:
    """Label one of each class, then one after the other as `how` says."""
    rows = [int(row) for row in first]
    while len(rows) < total:
        if how == "random":
            left = np.setdiff1d(np.arange(len(pool)), rows)
            rows.append(int(rng.choice(left)))
            continue
        classifier = fit_few_shot(pool, labelled(kinds, rows))
        chances = classifier.probabilities(pool)
        rows.append(int(label_next(pool, chances, np.array(sorted(rows)), 1)[0]))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tiles", type=Path, help="folder of labelled fields")
    parser.add_argument("--encoder", default="bundled")
    parser.add_argument("--by", choices=("case", "field"), default="case")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--huge", action="store_true", help="10^7 vectors, too")
    options = parser.parse_args()
    if options.tiles:
        annotate(options.tiles, options.encoder, options.by, options.seeds)
        return
    prompts([100_000, 1_000_000, *([10_000_000] if options.huge else [])])
    labels()


if __name__ == "__main__":
    main()
