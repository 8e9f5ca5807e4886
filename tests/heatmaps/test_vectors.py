"""Unit vectors: the same products in half precision as in single."""

from __future__ import annotations

import numpy as np
import pytest
from made_vectors import ATTRS, lattice

from napari_pathfm.errors import StoreError
from napari_pathfm.heatmaps import UnitVectors, _vectors


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(120, 64)).astype(np.float32)


def of(features):
    done = np.ones(len(features), bool)
    done[7] = False
    return UnitVectors(features, lattice(10, 12), done, ATTRS, "made")


@pytest.mark.parametrize("shape", [(64,), (1, 64), (4, 64), (6, 64)])
def test_half_precision_gives_the_same_products(features, monkeypatch, shape):
    directions = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    directions /= np.linalg.norm(directions, axis=-1, keepdims=True)
    single = of(features).dot(directions)
    monkeypatch.setattr(_vectors, "_SINGLE", 0)
    half = of(features)
    assert half.block(slice(0, 3)).dtype == np.float32
    product = half.dot(directions)
    assert product.dtype == np.float32
    assert product.shape == single.shape == (120, *shape[:-1])
    np.testing.assert_allclose(product, single, atol=1e-3)
    assert not product[7].any()


def test_vectors_have_length_one_and_none_where_not_embedded(features):
    vectors = of(features)
    lengths = np.linalg.norm(vectors.rows(np.arange(120)), axis=1)
    assert lengths[7] == 0
    np.testing.assert_allclose(np.delete(lengths, 7), 1, atol=1e-5)


def test_directions_of_another_length_are_refused(features):
    with pytest.raises(StoreError, match="64 numbers, not of 32"):
        of(features).dot(np.ones(32, np.float32))
