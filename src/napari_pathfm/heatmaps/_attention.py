"""Where a slide-level head looks, and what it says of the slide and of each tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_pathfm.heatmaps._heatmap import Heatmap, on_grid, passed_on

if TYPE_CHECKING:
    from napari_pathfm.embeddings import EmbeddingStore
    from napari_pathfm.evaluation import Head


def attention(store: EmbeddingStore, head: Head) -> list[Heatmap]:
    """Show what an attention head (ABMIL) makes of a slide.

    Parameters
    ----------
    store : EmbeddingStore
        Of the encoder that the head learned from.
    head : Head
        From `evaluation.load_head`; networks of an ensemble are averaged.

    Returns
    -------
    list of Heatmap
        First the attention, as a multiple of the mean: 1 where a tile counts as much
        as all do on average. Then for each class the probability that the head would
        give a slide of nothing but that tile. ``provenance["prediction"]`` of all is
        the slide's own, by class.

    Raises
    ------
    StoreError
        The store is of another kind than those learned from, or empty.
    """
    features = head.features_of(store)
    done = store.done
    weight = head.attention(features) * len(features)
    alone = head.predict_each(features).astype(np.float32)
    slide = head.predict(features)
    provenance = passed_on(store.attrs) | {
        "store": store.path.name,
        "kind": "attention",
    }
    provenance["head"] = dict(head.provenance)
    provenance["prediction"] = {
        name: round(float(chance), 4)
        for name, chance in zip(head.classes, slide, strict=True)
    }
    columns = [("attention", weight, (0.0, max(1.0, float(np.percentile(weight, 99)))))]
    columns += [
        (f"score of {name}", alone[:, i], (0.0, 1.0))
        for i, name in enumerate(head.classes)
    ]
    made = []
    for name, values, limits in columns:
        whole = np.full(len(done), np.nan, np.float32)
        whole[done] = values
        cells, origin, stride = on_grid(store.grid, whole)
        mpp = store.attrs["slide_mpp"]
        made.append(Heatmap(cells, origin, stride, mpp, name, limits, provenance))
    return made
