"""Whether a generator follows where it is steered, by the classifier that steers.

``python benchmarks/steering.py SLIDE [--mpp M] [--tiles 2]``.

The slide's embeddings fall into two clusters; a few-shot classifier of eight tiles of
each is fitted. Tiles of either cluster, none of those eight, are steered to the other,
by the classifier's direction and by the difference of both eights' means, in five
steps, with the fast preset. Printed are, step by step, the mean probability of the
other cluster that the condition has (what was asked for) and that the generated tile
has when the encoder looks at it (what came out).
"""

from __future__ import annotations

import argparse
import tempfile
import time

import numpy as np
from sklearn.cluster import KMeans

from napari_pathfm.embeddings import embed_slide
from napari_pathfm.encoders import load_encoder
from napari_pathfm.generators import load_generator
from napari_pathfm.heatmaps import (
    LabelledTiles,
    UnitVectors,
    classes_named,
    fit_few_shot,
)
from napari_pathfm.slides import open_slide
from napari_pathfm.synthesis import steer

_LABELS = 8
_STEPS = 5


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--tiles", type=int, default=2, help="of each cluster")
    options = parser.parse_args()
    generator, encoder = load_generator(), load_encoder()
    began = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_slide(options.slide, mpp=options.mpp) as slide,
    ):
        store = embed_slide(slide, encoder, f"{folder}/slide.zarr")
        vectors = UnitVectors.of(store)
        unit = vectors.rows(np.arange(len(vectors)))
        found = KMeans(2, n_init=10, random_state=0).fit(unit)
        # The most typical tiles are labelled, those after them steered.
        far = found.transform(unit)
        order = [np.argsort(far[:, k]) for k in (0, 1)]
        names = ("first", "second")
        rows = np.concatenate([rows[:_LABELS] for rows in order])
        ascending = np.argsort(rows)
        labelled = LabelledTiles(
            classes=classes_named(names),
            rows=rows[ascending],
            labels=np.repeat([0, 1], _LABELS)[ascending],
        )
        classifier = fit_few_shot(vectors, labelled)
        centres = store.coords + store.grid.tile_size / 2
        points = [
            [tuple(p) for p in centres[rows[:_LABELS]].tolist()] for rows in order
        ]
        for way in ("the classifier's direction", "the difference of means"):
            asked, got, real = [], [], []
            for k in (0, 1):
                goal = {"like": points[1 - k], "unlike": points[k]}
                for row in order[k][_LABELS : _LABELS + options.tiles]:
                    made = steer(
                        slide,
                        tuple(centres[row].tolist()),
                        generator,
                        encoder,
                        classifier=classifier,
                        towards=names[1 - k],
                        frames=_STEPS,
                        preset="fast",
                        **(goal if "means" in way else {}),
                    )
                    told = [image.provenance.fidelity for image in made.images]
                    asked.append([f["condition_probability"] for f in told])
                    got.append([f["probability"] for f in told])
                    real.append(made.real_probability)
            print(f"{way}, {len(got)} tiles; real tiles {np.mean(real):.3f}")
            for name, values in (("asked for", asked), ("came out", got)):
                print(f"  {name}: ", "  ".join(f"{v:.3f}" for v in np.mean(values, 0)))
            reached = np.mean([row[-1] > 0.5 for row in got])
            print(f"  taken for the other cluster at the last step: {reached:.0%}")
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
