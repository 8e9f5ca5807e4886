"""The maps that ``heatmap`` can make, each with what the shell says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pathfm import heatmaps as maps
from napari_pathfm.errors import LabelError, OutputError
from napari_pathfm.exports import read_geojson

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.heatmaps import CategoryMap, FewShot, Heatmap, UnitVectors


@dataclass
class Maps:
    """What was made, and what is said of it.

    Attributes
    ----------
    heatmaps : list of Heatmap
    category : CategoryMap or None
    report : dict
        For ``--json``.
    lines : list of str
        For people; the first follows the file's name.
    """

    heatmaps: list[Heatmap] = field(default_factory=list)
    category: CategoryMap | None = None
    report: dict[str, Any] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def similar(vectors: UnitVectors, like: Any, unlike: Any, reduce: Any) -> Maps:
    """Similarity to points and regions."""
    return one_map(
        maps.similarity(vectors, places_of(like), places_of(unlike), reduce=reduce)
    )


def places_of(told: Any) -> list[Any]:
    """Read the regions of files; points stay as they are."""
    found: list[Any] = []
    for one in told:
        if not isinstance(one, Path):
            found.append(one)
            continue
        shapes = [o.geometry for o in read_geojson(one) if o.geometry.area > 0]
        if not shapes:
            raise OutputError(f"{one} holds no region: draw around tissue")
        found += shapes
    return found


def odd(vectors: UnitVectors) -> Maps:
    """Outliers."""
    return one_map(maps.outliers(vectors))


def principal(vectors: UnitVectors, n: int) -> Maps:
    """Principal components."""
    made = maps.components(vectors, n)
    shares = [round(one.provenance["explained"], 4) for one in made]
    text = ", ".join(f"{share:.1%}" for share in shares)
    line = f"{n} components with {text} of the variance"
    return Maps(made, None, {"explained": shares}, [line])


def clustered(vectors: UnitVectors, k: int | None) -> Maps:
    """Clusters."""
    made = maps.clusters(vectors, k)
    counts = made.counts
    report = {"k": len(counts), "tiles_of": counts}
    report["silhouettes"] = made.provenance["silhouettes"]
    line = ", ".join(f"{name}: {number}" for name, number in counts.items())
    return Maps([], made, report, [f"{len(counts)} clusters", line])


def attended(store: EmbeddingStore, path: Path) -> Maps:
    """Attention and scores of a slide-level head."""
    from napari_pathfm.evaluation import load_head

    made = maps.attention(store, load_head(path))
    said = made[0].provenance["prediction"]
    line = ", ".join(f"{name} {chance:.1%}" for name, chance in said.items())
    return Maps(made, None, {"prediction": said}, [f"the slide: {line}"])


def labelled(vectors: UnitVectors, path: Path, keep: Path | None) -> Maps:
    """Few-shot classes from a file of labels."""
    objects = read_geojson(path)
    places = [
        (one.geometry, one.classification)
        for one in objects
        if one.classification and one.object_type != "root"
    ]
    if not places:
        raise LabelError(
            f"{path} has no object with a class: label some in napari or QuPath"
        )
    colors = {
        one.classification: one.color
        for one in objects
        if one.classification and one.color is not None
    }
    tiles = maps.label_places(vectors.grid, places, colors)
    checked = maps.validate(vectors, tiles)
    classifier = maps.fit_few_shot(vectors, tiles, temperature=checked.temperature)
    if keep is not None:
        maps.save_few_shot(classifier, keep, validation=checked.to_json())
    made = _classes(vectors, classifier)
    made.report["validation"] = checked.to_json()
    made.report["labels"] = classifier.provenance["labels"]
    made.report["misplaced"] = tiles.misplaced
    if tiles.misplaced:
        made.lines.append(f"{tiles.misplaced} of {len(places)} labels lie on no tissue")
    if checked.folds:
        made.lines.append(
            f"held-out labels right: {checked.balanced_accuracy:.1%} "
            f"(balanced, {checked.folds} folds)"
        )
    made.lines += [checked.warning] if checked.warning else []
    if keep is not None:
        made.report["classifier"] = str(keep)
        made.lines.append(f"classifier kept in {keep}")
    return made


def classified(vectors: UnitVectors, path: Path) -> Maps:
    """Few-shot classes by a classifier that was kept."""
    return _classes(vectors, maps.load_few_shot(path))


def _classes(vectors: UnitVectors, classifier: FewShot) -> Maps:
    made = maps.ClassMaps(vectors, classifier)
    likeliest = made.likeliest()
    counts = likeliest.counts
    line = ", ".join(f"{name}: {number}" for name, number in counts.items())
    return Maps(made.probabilities(), likeliest, {"tiles_of": counts}, [line])


def one_map(heatmap: Heatmap) -> Maps:
    """Say of a map what its values are."""
    values = heatmap.values[~np.isnan(heatmap.values)]
    low, mean, high = (float(f(values)) for f in (np.min, np.mean, np.max))
    report = {"min": round(low, 4), "mean": round(mean, 4), "max": round(high, 4)}
    line = f"{heatmap.name} {low:.3f} to {high:.3f}, mean {mean:.3f}"
    return Maps([heatmap], None, report, [line])
