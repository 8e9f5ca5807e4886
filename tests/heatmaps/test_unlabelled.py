"""Components, clusters, outliers, extremes, search: against what is known."""

from __future__ import annotations

import numpy as np
import pytest
from made_vectors import ATTRS, clustered, lattice

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps import (
    Found,
    Heatmap,
    UnitVectors,
    clusters,
    components,
    extremes,
    outliers,
)

BANDS = np.repeat(np.arange(3), 4)[:, None] * np.ones((1, 15), int)


def test_components_are_those_of_scikit_learn():
    from sklearn.decomposition import PCA

    vectors = clustered(BANDS)
    maps = components(vectors, 3)
    reference = PCA(3).fit(vectors.block(slice(None)))
    scores = reference.transform(vectors.block(slice(None)))
    for i, one in enumerate(maps):
        got = one.values.ravel()
        sign = np.sign(got @ scores[:, i])
        np.testing.assert_allclose(got, sign * scores[:, i], atol=1e-4)
        share = reference.explained_variance_ratio_[i]
        assert one.provenance["explained"] == pytest.approx(share, abs=1e-4)
        assert one.name == f"component {i + 1}"


def test_components_do_not_see_what_is_not_embedded():
    vectors = clustered(BANDS)
    done = np.ones(len(vectors), bool)
    done[100:] = False
    part = UnitVectors(vectors.block(slice(None)), vectors.grid, done, ATTRS, "part")
    alone = UnitVectors(
        vectors.block(slice(0, 90)), lattice(6, 15), np.ones(90, bool), ATTRS, "alone"
    )
    assert np.isnan(components(part)[0].values.ravel()[100:]).all()
    done[90:] = False
    part = UnitVectors(vectors.block(slice(None)), vectors.grid, done, ATTRS, "part")
    np.testing.assert_allclose(
        components(part)[0].values.ravel()[:90],
        components(alone)[0].values.ravel(),
        atol=1e-5,
    )


def test_components_know_their_limits():
    with pytest.raises(StoreError, match="1 to 256 components"):
        components(clustered(BANDS), 257)


def test_clusters_are_found_and_counted():
    kinds = BANDS.copy()
    kinds[:, 10:] = 0  # the first kind is the largest
    vectors = clustered(kinds)
    found = clusters(vectors)
    assert found.provenance["k"] == 3
    assert set(found.provenance["silhouettes"]) == {str(k) for k in range(2, 11)}
    counts = list(found.counts.values())
    assert counts == sorted(counts, reverse=True)
    for kind in range(3):
        assert len(np.unique(found.values[kinds == kind])) == 1
    assert (clusters(vectors).values == found.values).all()


def test_as_many_clusters_as_asked_for():
    vectors = clustered(BANDS)
    assert len(clusters(vectors, 5).classes) == 5
    for k in (1, 180, 500):
        with pytest.raises(StoreError, match="at least 2"):
            clusters(vectors, k)


def test_the_odd_tile_stands_out():
    vectors = clustered(np.where(np.arange(180) == 77, 1, 0).reshape(12, 15))
    found = outliers(vectors)
    assert int(np.nanargmax(found.values)) == 77
    # Its distance, by hand.
    units = vectors.block(slice(None))
    cosines = np.sort(np.delete(units @ units[77], 77))[-10:]
    assert found.values.ravel()[77] == pytest.approx(1 - cosines.mean(), abs=1e-4)


def test_extremes_are_sorted_and_in_place():
    values = np.array([[0.1, np.nan, 0.9], [0.5, 0.7, -0.2]], np.float32)
    heatmap = Heatmap(values, (100.0, 200.0), 10.0, 0.5)
    top = extremes(heatmap, 2)
    assert top == [
        Found(125.0, 205.0, pytest.approx(0.9)),
        (115.0, 215.0, pytest.approx(0.7)),
    ]
    low = extremes(heatmap, 9, lowest=True)
    assert [round(f.value, 1) for f in low] == [-0.2, 0.1, 0.5, 0.7, 0.9]
    assert extremes(heatmap, 0) == []
