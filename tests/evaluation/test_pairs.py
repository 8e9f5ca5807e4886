"""PLISM's arithmetic against cases by hand, scikit-learn, and published figures."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation import (
    Condition,
    Registered,
    four_median_score,
    random_subset,
    robustness,
)
from napari_pathfm.evaluation._pairs import place_cosines, place_hits
from napari_pathfm.evaluation._registered import name_conditions
from napari_pathfm.evaluation._robustness import MEASURES

# FACTS of plism-benchmark's leaderboard, 3 March 2025: cosine of all, top-10 across
# scanners, stainings, both; score.
LEADERBOARD = [
    (0.800, 0.864, 0.318, 0.183, 0.541),
    (0.846, 0.752, 0.241, 0.155, 0.498),
    (0.685, 0.744, 0.327, 0.166, 0.480),
    (0.777, 0.609, 0.306, 0.163, 0.464),
    (0.748, 0.435, 0.200, 0.108, 0.373),
    (0.570, 0.592, 0.118, 0.054, 0.333),
    (0.591, 0.501, 0.190, 0.046, 0.332),
    (0.547, 0.532, 0.169, 0.053, 0.325),
    (0.622, 0.125, 0.021, 0.004, 0.193),
    (0.557, 0.064, 0.030, 0.003, 0.164),
]


def features(n=40, dim=8, noise=0.5, seed=0):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, dim))
    return a, a + noise * rng.normal(size=(n, dim))


def reference_hits(a, b, k):
    """As plism-benchmark states it: rank all 2n, drop the first, look among k."""
    both = np.concatenate([a, b]).astype(np.float16).astype(np.float64)
    order = np.argsort(-cosine_similarity(both), axis=1)[:, 1 : k + 1]
    n = len(a)
    other = (np.arange(2 * n) + n) % (2 * n)
    found = (order == other[:, None]).any(1)
    return (found[:n].mean() + found[n:].mean()) / 2


@pytest.mark.parametrize("row", LEADERBOARD)
def test_the_score_is_that_of_the_leaderboard(row):
    # Published to three decimals, all five of them.
    assert four_median_score(*row[:4]) == pytest.approx(row[4], abs=0.0011)


@pytest.mark.parametrize("k", [1, 3, 5, 10])
@pytest.mark.parametrize("noise", [0.9, 1.4])
def test_hits_are_those_of_a_full_ranking(k, noise):
    a, b = features(noise=noise)
    hits = place_hits(a, b, [k])
    assert hits[0].mean() == pytest.approx(reference_hits(a, b, k), abs=1e-6)
    assert 0 < hits[0].mean() < 1


def test_hits_among_the_other_slide_alone():
    a, b = features(noise=1.0)
    cosine = cosine_similarity(a.astype(np.float16), b.astype(np.float16))
    sought = np.diag(cosine)
    there = (cosine > sought[:, None]).sum(1) < 3
    back = (cosine > sought[None]).sum(0) < 3
    np.testing.assert_allclose(place_hits(a, b, [3])[1, 0], (there + 0.0 + back) / 2)


def test_hits_do_not_depend_on_how_rows_are_cut(monkeypatch):
    a, b = features(n=40, noise=0.8)
    whole = place_hits(a, b)
    monkeypatch.setattr("napari_pathfm.evaluation._pairs._ROWS", 7)
    np.testing.assert_array_equal(place_hits(a, b), whole)


def test_by_hand():
    # Angles in degrees. On a: 0, 90, 180. On b: 10, 60, 185.
    def at(*angles):
        turned = np.radians(angles)
        return np.stack([np.cos(turned), np.sin(turned)], axis=1)

    a, b = at(0, 90, 180), at(10, 60, 185)
    np.testing.assert_allclose(
        place_cosines(a, b), np.cos(np.radians([10, 30, 5])), atol=1e-3
    )
    # Nearest to each: 0 -> 10 yes, 90 -> 60 yes, 180 -> 185 yes,
    # 10 -> 0 yes, 60 -> 90 yes (30 against 50), 185 -> 180 yes.
    assert place_hits(a, b, [1])[0].tolist() == [[1, 1, 1]]
    # With b's second at 40: 90 -> 40 (50 against 80), 40 -> 10 (30 against 50), no.
    assert place_hits(a, at(10, 40, 185), [1])[0].tolist() == [[1, 0.5, 1]]


def test_equal_tiles_share_the_chance():
    a = np.eye(8)
    a[1] = a[0]  # two blank tiles, alike on both slides
    hits = place_hits(a, a, [1, 3])[0]
    # Three tiles of the gallery are equally near; one is the one sought.
    np.testing.assert_allclose(hits[:, 0], [1 / 3, 1])
    np.testing.assert_allclose(hits[:, 2], [1, 1])


def test_features_are_rounded_to_half_precision():
    a = np.full((12, 2), 1.0)
    b = np.stack([np.full(12, 1.0), np.full(12, 1.0001)], axis=1)
    assert place_cosines(a, b) == pytest.approx(1, abs=1e-7)  # 1.0001 rounds to 1


def test_too_few_places_for_a_top_10():
    a, b = features(n=5)
    with pytest.raises(PathfmError, match="5 places are too few for a top-10"):
        place_hits(a, b)


def four_slides(n=60):
    """Two stainings on two scanners; staining changes more than the scanner."""
    rng = np.random.default_rng(1)
    base = rng.normal(size=(n, 16))
    stain, scan = rng.normal(size=16), rng.normal(size=16)
    conditions, arrays = [], []
    for s in range(2):
        for c in range(2):
            conditions.append(Condition(f"s{s}c{c}", f"s{s}", f"c{c}"))
            noise = 0.4 * rng.normal(size=base.shape)
            arrays.append(base + 2.0 * s * stain + 0.5 * c * scan + noise)
    facts = {"encoder": "e", "revision": "r", "codec": "PNG", "mpp": 0.5}
    return Registered(tuple(conditions), arrays.__getitem__, n, facts), arrays


def test_groups_and_score():
    registered, arrays = four_slides()
    found = robustness(registered, draws=200)
    assert found.pairs.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    assert found.members("scanner").tolist() == [1, 0, 0, 0, 0, 1]
    assert found.members("staining").tolist() == [0, 1, 0, 0, 1, 0]
    assert found.members("both").tolist() == [0, 0, 1, 1, 0, 0]
    top = {
        g: [
            reference_hits(arrays[i], arrays[j], 10)
            for i, j in found.pairs[found.members(g)]
        ]
        for g in ("scanner", "staining", "both")
    }
    for group, values in top.items():
        summary = found.summary(group, "top-10")
        assert summary["pairs"] == len(values)
        assert summary["median"].value == pytest.approx(np.median(values))
        assert summary["mean"] == pytest.approx(np.mean(values))
        assert summary["std"] == pytest.approx(np.std(values))
        assert summary["iqr"] == pytest.approx(
            np.subtract(*np.quantile(values, [0.75, 0.25]))
        )
    cosine = found.summary("all", "cosine")["median"].value
    score = found.score()
    assert score.value == pytest.approx(
        np.mean([cosine, *(np.median(v) for v in top.values())])
    )
    assert score.low < score.value < score.high
    assert (
        found.summary("scanner", "top-10")["mean"]
        > found.summary("both", "top-10")["mean"]
    )


def test_the_interval_is_that_of_a_plain_bootstrap():
    registered, arrays = four_slides()
    found = robustness(registered, draws=4000)
    cosines = place_cosines(arrays[0], arrays[1])
    rng = np.random.default_rng(5)
    plain = cosines[rng.integers(0, len(cosines), (4000, len(cosines)))].mean(1)
    column = found.draws[0, MEASURES.index("cosine")]
    np.testing.assert_allclose(
        np.percentile(column, [2.5, 97.5]), np.percentile(plain, [2.5, 97.5]), atol=3e-3
    )


def test_one_staining_has_no_score():
    registered, _ = four_slides()
    two = Registered(
        registered.conditions[:2], registered.load, registered.n, registered.facts
    )
    found = robustness(two, draws=20)
    assert found.score() is None
    assert found.summary("staining", "top-1") is None
    assert found.summary("scanner", "top-1")["pairs"] == 1


def test_a_subset_keeps_the_same_places_everywhere():
    registered, arrays = four_slides()
    fewer = random_subset(registered, 30, seed=3)
    rows = [np.flatnonzero((arrays[0] == row).all(1))[0] for row in fewer.load(0)]
    np.testing.assert_array_equal(fewer.load(2), arrays[2][rows])
    assert len(set(rows)) == 30
    assert "30 of 60" in fewer.facts["places"]
    with pytest.raises(PathfmError, match="60 places, not 61"):
        random_subset(registered, 61)


def test_names_tell_conditions(tmp_path):
    plism = name_conditions(["GMH_S60_to_GMH_S60.tif", "HR_AT2_to_GMH_S60.tif"])
    assert [(c.staining, c.scanner) for c in plism] == [("GMH", "S60"), ("HR", "AT2")]
    plain = name_conditions(["aperio", "leica"])
    assert [c.scanner for c in plain] == ["aperio", "leica"]
    assert len({c.staining for c in plain}) == 1
    table = tmp_path / "slides.csv"
    table.write_text("file,scanner,staining\na,S60,H\nb,AT2,H\n")
    assert name_conditions(["b", "a"], table)[0] == Condition("b", "H", "AT2")
    with pytest.raises(PathfmError, match="no row whose file is c"):
        name_conditions(["a", "c"], table)
    with pytest.raises(PathfmError, match="there is 1"):
        name_conditions(["a"])
    table.write_text("name\na\n")
    with pytest.raises(PathfmError, match="needs the columns file, scanner"):
        name_conditions(["a", "b"], table)
