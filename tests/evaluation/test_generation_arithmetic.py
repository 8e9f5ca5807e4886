"""Distances, balls and copies against closed forms and cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
from PIL import Image
from scipy.stats import t

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation._bootstrap import jackknife
from napari_pathfm.evaluation._codec import jpeg
from napari_pathfm.evaluation._copies import (
    Closeness,
    Threshold,
    plants,
)
from napari_pathfm.evaluation._correlation import (
    COARSE,
    FINE,
    closest,
    coarse_correlations,
    orientations,
    thumbnail,
    unit,
)
from napari_pathfm.evaluation._distances import frechet_distance, kernel_distance
from napari_pathfm.evaluation._manifold import manifold


def gaussian(mean, std, n=400, seed=0):
    """Features whose mean and covariance are exactly these (diagonal)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, len(mean)))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x.T)).T)
    return x * std + mean


def test_frechet_of_gaussians_in_closed_form():
    a = gaussian(np.array([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 3.0]))
    b = gaussian(np.array([3.0, 1.0, 0.0]), np.array([2.0, 2.0, 1.0]), n=300, seed=1)
    # |m_a - m_b|^2 = 9 + 0 + 4; of diagonals the rest is sum (s_a - s_b)^2 = 1 + 0 + 4.
    assert frechet_distance(a, b) == pytest.approx(18)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("n", [12, 200])  # fewer and more than dimensions
def test_frechet_is_that_of_the_matrix_square_root(n):
    rng = np.random.default_rng(0)
    a = rng.normal(size=(n, 20)) @ rng.normal(size=(20, 20))
    b = rng.normal(size=(n + 5, 20)) @ rng.normal(size=(20, 20)) + 1
    covariances = [np.cov(x.T) for x in (a, b)]
    # The square root as eigenvalues, since sqrtm does not like singular matrices.
    shared = np.sqrt(np.abs(scipy.linalg.eigvals(covariances[0] @ covariances[1])))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() - 2 * shared.sum()
    expected += sum(np.trace(c) for c in covariances)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-5)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a))


def test_kid_by_hand():
    # D = 1, kernel (xy + 1)^3. Of {0, 1} the pair gives (0 + 1)^3 = 1; of {1, 2},
    # (2 + 1)^3 = 27; across: 1, 1, (1+1)^3 = 8, (2+1)^3 = 27, mean 37 / 4.
    a, b = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_distance(a, b) == pytest.approx(1 + 27 - 2 * 37 / 4)


def test_kid_divides_by_the_dimensions_and_is_unbiased():
    a, b = np.array([[2.0, 0.0], [0.0, 2.0]]), np.array([[2.0, 2.0], [0.0, 0.0]])
    # x.y / 2: within a 0 -> 1; within b 0 -> 1; across 2, 0, 2, 0 -> 27, 1, 27, 1.
    expected = 1 + 1 - 2 * ((4 / 2 + 1) ** 3 * 2 + 2) / 4
    assert kernel_distance(a, b) == pytest.approx(expected)
    rng = np.random.default_rng(0)
    same = [kernel_distance(*rng.normal(size=(2, 30, 4))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(len(same))
    assert min(same) < 0 < max(same)


def test_distances_need_two_features_of_one_length():
    for figure in (frechet_distance, kernel_distance):
        with pytest.raises(PathfmError, match="have no distance"):
            figure(np.zeros((5, 2)), np.zeros((5, 3)))
        with pytest.raises(PathfmError, match="have no distance"):
            figure(np.zeros((5, 2)), np.zeros((1, 2)))


def test_balls_by_hand():
    # On a line, balls to the first neighbour. Real 0, 1, 3, 10: radii 1, 1, 2, 7.
    # Generated 0.5, 4, 100: radii 3.5, 3.5, 96.
    real = np.array([[0.0], [1.0], [3.0], [10.0]])
    made = np.array([[0.5], [4.0], [100.0]])
    found = manifold(real, made, k=1)
    # 0.5: in the balls of 0 and 1 (of 3: 2.5 away). 4: in those of 3 and 10.
    assert found.precision.tolist() == [1, 1, 0]
    assert found.density.tolist() == [2, 2, 0]
    # In a generated ball: 0, 1, 3 in that of 0.5; 10 (6 from 4, 90 from 100) in the
    # last one's, which is what makes recall easy to fool.
    assert found.recall.tolist() == [1, 1, 1, 1]
    assert found.coverage.tolist() == [1, 1, 1, 1]
    found = manifold(real, made[:2], k=1)
    assert found.recall.tolist() == [1, 1, 1, 0]
    far = manifold(real, made + 1000, k=1)
    for each in (far.precision, far.density, far.coverage):
        assert not each.any()


def test_the_edge_of_a_ball_is_outside():
    real = np.array([[0.0], [1.0], [5.0]])
    found = manifold(real, np.array([[2.0], [-1.0]]), k=1)
    # 2 is 1 from 1, whose radius is 1; within 4 of 5. -1 is 1 from 0, radius 1.
    assert found.precision.tolist() == [1, 0]
    assert found.density.tolist() == [1, 0]


def test_k_neighbours_need_more_than_k():
    with pytest.raises(PathfmError, match="too few for balls to the 5th"):
        manifold(np.zeros((5, 2)), np.zeros((9, 2)))


def test_one_distribution_has_density_and_coverage_of_theory():
    # Naeem et al.: density 1, coverage 1 - (n-1)...(n-k) / ((2n-1)...(2n-k)).
    rng = np.random.default_rng(0)
    n, k = 200, 5
    expected = 1 - np.prod([(n - i) / (2 * n - i) for i in range(1, k + 1)])
    found = [manifold(*rng.normal(size=(2, n, 3)), k) for _ in range(8)]
    assert np.mean([f.density.mean() for f in found]) == pytest.approx(1, abs=0.06)
    assert np.mean([f.coverage.mean() for f in found]) == pytest.approx(
        expected, abs=0.02
    )


def test_the_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(0).normal(size=100)
    found = jackknife(lambda rows: float(x[rows].mean()), 100)
    # Of ten equal blocks: the standard error of the ten block means.
    rows = np.random.default_rng(0).permutation(100)
    blocks = np.array([x[rows[i::10]].mean() for i in range(10)])
    error = blocks.std(ddof=1) / np.sqrt(10)
    assert found.value == pytest.approx(x.mean())
    assert found.high - found.value == pytest.approx(t.ppf(0.975, 9) * error)
    assert found.value - found.low == pytest.approx(t.ppf(0.975, 9) * error)


def drawn(n, px=96, seed=0):
    from napari_pathfm.slides._drawn import draw_tissue

    return [draw_tissue(px, px, mpp=0.5, seed=seed + i) for i in range(n)]


def thumbs(tiles):
    return unit(np.stack([thumbnail(tile, COARSE) for tile in tiles]))


def test_eight_orientations_are_all_different():
    tile = np.arange(12).reshape(2, 2, 3)
    views = [v.tobytes() for v in orientations(tile)]
    assert len(set(views)) == 8
    assert views[0] == tile.tobytes()


def test_correlation_is_pearsons():
    a, b = thumbs(drawn(2))
    found = coarse_correlations(a[None, None], b[None])[0, 0]
    whole = np.corrcoef(a.ravel(), b.ravel())[0, 1]
    assert found >= whole - 1e-5  # smaller sizes and other places are tried too
    assert coarse_correlations(a[None, None], a[None])[0, 0] == pytest.approx(
        1, abs=1e-4
    )
    assert coarse_correlations(a[None, None], 1 - a[None])[0, 0] < 0.6


@pytest.mark.parametrize("way", ["cropped to 85 %", "all of it"])
def test_a_crop_is_found_in_what_it_was_cut_from(way):
    tiles = drawn(6, px=224)
    gallery = [
        np.stack([thumbnail(tile, side) for tile in tiles]) for side in (COARSE, FINE)
    ]
    found, nearest = closest(np.stack(plants(tiles)[way]), *gallery)
    assert nearest.tolist() == list(range(6))
    others, _ = closest(np.stack(drawn(6, px=224, seed=50)), *gallery)
    assert found.min() > (others.max() + 1) / 2


def test_the_same_texture_is_the_same_and_glass_matches_nothing():
    (tile,) = drawn(1, px=224)
    gallery = [thumbnail(tile, side)[None] for side in (COARSE, FINE)]
    found, _ = closest(np.stack([tile, np.rot90(tile)[:, ::-1]]), *gallery)
    assert found == pytest.approx([1, 1], abs=0.01)
    glass = np.full((1, 224, 224, 3), 240, np.uint8)
    glass[:, :100] = 235
    assert closest(glass, *gallery)[0] == 0


def test_what_is_blank_matches_nothing():
    blank = np.full((1, 32, 32), 0.9, np.float32)
    (tile,) = thumbs(drawn(1))
    assert coarse_correlations(blank[None], tile[None])[0, 0] == 0
    assert coarse_correlations(tile[None, None], blank)[0, 0] == 0


def test_plants_are_disguised_as_they_say():
    tiles = drawn(3)
    ways = plants(tiles)
    for tile, same in zip(tiles, ways["the same"], strict=True):
        np.testing.assert_array_equal(tile, same)
    for tile, turned in zip(tiles, ways["flipped or turned"], strict=True):
        views = [v.tobytes() for v in orientations(tile)]
        assert turned.tobytes() in views[1:]
    np.testing.assert_array_equal(ways["JPEG 75"][0], jpeg(tiles[0], 75))
    assert all(t.shape == (96, 96, 3) for way in ways.values() for t in way)


def test_the_threshold_lies_halfway_to_a_copy():
    values = np.linspace(0, 0.8, 101)
    limit = Threshold.of(Closeness(values, values / 2, np.zeros(101, int)))
    assert limit.embedding == pytest.approx((0.792 + 1) / 2)
    assert limit.pixels == pytest.approx((0.396 + 1) / 2)
    seen = Closeness(np.array([0.9, 0.5, 0.5]), np.array([0, 0.9, 0.1]), np.zeros(3))
    assert Threshold(0.8, 0.8).flags(seen).tolist() == [True, True, False]
    alone = Threshold.of(seen, texture_alone=True)
    assert alone.embedding is None
    assert Threshold(None, 0.8).flags(seen).tolist() == [False, True, False]


def test_jpeg_is_pillows_at_that_quality(tmp_path):
    (tile,) = drawn(1)
    Image.fromarray(tile).save(tmp_path / "t.jpg", quality=80, subsampling="4:2:0")
    np.testing.assert_array_equal(jpeg(tile, 80), Image.open(tmp_path / "t.jpg"))
