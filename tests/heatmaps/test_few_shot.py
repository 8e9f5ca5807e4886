"""Few-shot classes: the right head, honest figures, files that can be trusted."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_vectors import ATTRS, clustered, lattice

from napari_pathfm.errors import LabelError, StoreError
from napari_pathfm.heatmaps import (
    PALETTE,
    ClassMaps,
    LabelledTiles,
    TissueClass,
    UnitVectors,
    classes_named,
    fit_few_shot,
    label_next,
    label_places,
    load_few_shot,
    save_few_shot,
    validate,
)
from napari_pathfm.heatmaps._few_shot import fit_head, softmax

# Three kinds in bands of four rows.
BANDS = np.repeat(np.arange(3), 4)[:, None] * np.ones((1, 15), int)


@pytest.fixture
def vectors():
    return clustered(BANDS)


def labelled(places, names=("tumour", "stroma", "fat")):
    """Label cells: ``{class name: [(row, column), ...]}``."""
    grid = lattice(*BANDS.shape)
    pairs = [
        ((column * 10 + 5.0, row * 10 + 5.0), name)
        for name in names
        for row, column in places.get(name, [])
    ]
    return label_places(grid, pairs)


SPREAD = {
    "tumour": [(0, 0), (2, 7), (1, 12)],
    "stroma": [(5, 1), (6, 8), (4, 13)],
    "fat": [(9, 0), (10, 6), (8, 12)],
}


def test_places_label_the_tiles_under_them():
    grid = lattice(4, 4)
    square = [(0, 0), (20, 0), (20, 20), (0, 20)]
    tiles = label_places(grid, [(square, "tumour"), ((15.0, 15.0), "fat")])
    assert [c.name for c in tiles.classes] == ["tumour", "fat"]
    assert [c.color for c in tiles.classes] == list(PALETTE[:2])
    # The point comes later and wins the tile that both hold.
    assert dict(zip(tiles.rows.tolist(), tiles.labels.tolist(), strict=True)) == {
        0: 0,
        1: 0,
        4: 0,
        5: 1,
    }
    assert tiles.counts.tolist() == [3, 1]
    assert tiles.misplaced == 0
    assert label_places(grid, [((500.0, 5.0), "fat")]).misplaced == 1


def test_classes_need_names_of_their_own():
    rows = np.array([0])
    for names in (("a", "a"), ("", "b")):
        with pytest.raises(LabelError, match="each its own"):
            LabelledTiles(classes_named(names), rows, rows)


def test_two_equal_points_give_the_head_that_symmetry_demands():
    """Classes at (1, 0) and (0, 1): the boundary is the diagonal."""
    features = np.eye(2, dtype=np.float32)
    weights, bias = fit_head(features, np.array([0, 1]), 2)
    np.testing.assert_allclose(weights[0], -weights[1], atol=1e-5)
    np.testing.assert_allclose(weights[0][0], -weights[0][1], atol=1e-5)
    np.testing.assert_allclose(bias, 0, atol=1e-5)
    chances = softmax(features @ weights.T + bias)
    assert chances[0, 0] == pytest.approx(chances[1, 1], abs=1e-5)
    assert chances[0, 0] > 0.5


@pytest.mark.parametrize("classes", [2, 3])
def test_the_head_is_scikit_learns_own(classes):
    """Folding the centring and scaling into the weights changes no probability."""
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 8)).astype(np.float32) + 3
    labels = np.arange(60) % classes
    features[np.arange(60), labels] += 1.5
    weights, bias = fit_head(features, labels, classes)
    centred = features - features.mean(0)
    scaled = centred / np.sqrt((centred**2).mean())
    model = LogisticRegression(
        C=8 * classes / 100, class_weight="balanced", tol=1e-3, max_iter=300
    ).fit(scaled, labels)
    np.testing.assert_allclose(
        softmax(features @ weights.T + bias), model.predict_proba(scaled), atol=1e-4
    )


def test_a_class_with_more_labels_does_not_win_by_that():
    """Twenty labels against one, and the middle stays undecided."""
    one, other = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    features = np.stack([one] * 20 + [other]).astype(np.float32)
    labels = np.array([0] * 20 + [1])
    weights, bias = fit_head(features, labels, 2)
    middle = softmax(weights @ np.array([0.5, 0.5]) + bias)
    assert middle[0] == pytest.approx(0.5, abs=0.02)


def test_three_labels_a_class_find_three_bands(vectors):
    maps = ClassMaps(vectors, fit_few_shot(vectors, labelled(SPREAD)))
    likeliest = maps.likeliest()
    assert (likeliest.values - 1 == BANDS).mean() > 0.95
    assert likeliest.at(5, 5) == TissueClass("tumour", PALETTE[0])
    assert sum(likeliest.counts.values()) == BANDS.size
    np.testing.assert_allclose(maps.chances.sum(axis=1), 1, atol=1e-5)
    fat = maps.probability("fat")
    assert fat.at(5, 115) > 0.8 > 0.2 > fat.at(5, 5)
    assert fat.provenance["class"] == "fat"
    assert fat.provenance["classifier"]["labels"] == {
        "tumour": 3,
        "stroma": 3,
        "fat": 3,
    }
    with pytest.raises(KeyError):
        maps.probability("bone")


def test_what_is_not_embedded_has_no_class(vectors):
    done = np.ones(len(vectors), bool)
    done[:15] = False
    half = UnitVectors(vectors.block(slice(None)), vectors.grid, done, ATTRS, "half")
    maps = ClassMaps(half, fit_few_shot(half, labelled(SPREAD)))
    assert np.isnan(maps.probability("fat").values[0]).all()
    assert (maps.likeliest().values[0] == 0).all()
    assert (maps.likeliest().values[1:] > 0).all()


def test_one_class_is_not_enough(vectors):
    with pytest.raises(LabelError, match="only 'tumour' has any"):
        fit_few_shot(vectors, labelled({"tumour": [(0, 0)]}))
    with pytest.raises(LabelError, match="none has any"):
        fit_few_shot(vectors, labelled({}))


def test_vectors_of_another_kind_are_refused(vectors):
    classifier = fit_few_shot(vectors, labelled(SPREAD))
    for key, words in (
        ("encoder", "encoder"),
        ("pooling", "pooling"),
        ("mpp", "tile mpp"),
    ):
        attrs = ATTRS | {key: "another"}
        done = np.ones(len(vectors), bool)
        other = UnitVectors(
            vectors.block(slice(None)), vectors.grid, done, attrs, "other"
        )
        with pytest.raises(StoreError, match=f"another {words}"):
            classifier.probabilities(other)


def test_vectors_of_unknown_origin_are_only_like_themselves(vectors):
    done = np.ones(len(vectors), bool)
    units = vectors.block(slice(None))
    attrs = ATTRS | {"weights_revision": "unknown"}
    foreign = UnitVectors(units, vectors.grid, done, attrs, "foreign")
    classifier = fit_few_shot(foreign, labelled(SPREAD))
    assert not np.isnan(classifier.probabilities(foreign)).any()
    elsewhere = attrs | {"slide": "b.svs", "slide_fingerprint": "b"}
    other = UnitVectors(units, vectors.grid, done, elsewhere, "other")
    with pytest.raises(StoreError, match="does not say its weights"):
        classifier.probabilities(other)


def test_a_classifier_works_on_another_slide(vectors):
    classifier = fit_few_shot(vectors, labelled(SPREAD))
    other = clustered(BANDS[::-1], seed=5)
    likeliest = ClassMaps(other, classifier).likeliest()
    assert (likeliest.values - 1 == BANDS[::-1]).mean() > 0.95


# -- how good -----------------------------------------------------------------------


def test_validation_holds_out_whole_places(vectors):
    found = validate(vectors, labelled(SPREAD))
    assert found.folds == 3
    assert found.warning == ""
    assert found.confusion.sum() == 9
    assert found.balanced_accuracy == found.accuracy == 1
    assert found.names == ("tumour", "stroma", "fat")


def test_labels_that_mean_nothing_are_seen_through():
    """Vectors of one kind, two classes drawn at random: as good as a coin."""
    vectors = clustered(np.zeros((20, 20), int), noise=1.0, seed=3)
    cells = [(r, c) for r in range(0, 20, 2) for c in range(0, 20, 2)]
    order = np.random.default_rng(0).permutation(len(cells))
    grid = lattice(20, 20)
    pairs = [
        ((cells[i][1] * 10 + 5.0, cells[i][0] * 10 + 5.0), "ab"[n % 2])
        for n, i in enumerate(order)
    ]
    found = validate(vectors, label_places(grid, pairs))
    assert 0.3 < found.balanced_accuracy < 0.7
    # Calibration takes the confidence back: logits are divided by far more than one.
    assert found.temperature > 2


def test_labels_from_one_place_are_warned_of(vectors):
    stroke = {"tumour": [(0, c) for c in range(6)], "stroma": [(5, 1), (6, 8), (4, 13)]}
    found = validate(vectors, labelled(stroke))
    assert found.folds > 1
    assert found.warning == (
        "Labels of 'tumour' come from one place only: expect less elsewhere."
    )


def test_too_few_labels_say_what_is_missing(vectors):
    found = validate(vectors, labelled({"tumour": [(0, 0)], "stroma": [(5, 1)]}))
    assert found.folds == 0
    assert np.isnan(found.balanced_accuracy)
    assert found.warning.startswith("Label 'tumour' and 'stroma' in one more place")
    assert json.loads(json.dumps(found.to_json()))["accuracy"] is None
    assert "two classes" in validate(vectors, labelled({"fat": [(9, 0)]})).warning


def test_confusion_counts_true_by_row(vectors):
    """Fat labelled as tumour on purpose: the mistake is where it belongs."""
    wrong = {
        "tumour": [(0, 0), (2, 7), (1, 12), (9, 3)],
        "stroma": [(5, 1), (6, 8), (4, 13)],
        "fat": [(9, 0), (10, 6), (8, 12), (11, 14)],
    }
    found = validate(vectors, labelled(wrong))
    assert found.confusion.sum(axis=1).tolist() == [4, 3, 4]
    assert found.confusion[0, 2] == 1
    assert found.balanced_accuracy == pytest.approx((0.75 + 1 + 1) / 3)
    assert found.accuracy == pytest.approx(10 / 11)


# -- what to label next -------------------------------------------------------------


def test_next_labels_are_doubtful_new_and_unlike_each_other(vectors):
    tiles = labelled(SPREAD)
    chances = np.full((len(vectors), 3), (0.98, 0.01, 0.01), np.float32)
    doubtful = np.array([3, 4, 80, 150])
    chances[doubtful] = (0.5, 0.5, 0.0)
    chosen = label_next(vectors, chances, tiles.rows, 3)
    assert set(chosen) < set(doubtful.tolist())
    # Rows 3 and 4 are of one kind: the first three are of three kinds.
    assert sorted(BANDS.ravel()[chosen]) == [0, 1, 2]


def test_next_labels_leave_out_what_is_known_and_refused(vectors):
    tiles = labelled(SPREAD)
    chances = np.full((len(vectors), 3), 1 / 3, np.float32)
    chances[10:] = np.nan
    chosen = label_next(vectors, chances, tiles.rows, 50, skip=np.array([1, 2]))
    assert sorted(chosen) == [3, 4, 5, 6, 7, 8, 9]
    assert len(label_next(vectors, chances, np.arange(10), 5)) == 0


# -- files --------------------------------------------------------------------------


def test_a_saved_classifier_says_the_same(vectors, tmp_path):
    tiles = labelled(SPREAD)
    classifier = fit_few_shot(vectors, tiles, temperature=1.7)
    path = tmp_path / "classes.json"
    save_few_shot(classifier, path, validation=validate(vectors, tiles).to_json())
    again = load_few_shot(path)
    assert again.classes == classifier.classes
    assert again.provenance == classifier.provenance
    np.testing.assert_array_equal(again.weights, classifier.weights)
    np.testing.assert_allclose(
        again.probabilities(vectors), classifier.probabilities(vectors), atol=1e-6
    )
    assert json.loads(path.read_text())["validation"]["folds"] == 3
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.update(format="else"), "no few-shot classifier of"),
        (lambda c: c.update(version=99), "newer napari-pathfm"),
        (lambda c: c["weights"].pop(), "do not fit"),
        (lambda c: c["weights"][0].pop(), "damaged"),
        (lambda c: c["weights"][0].__setitem__(0, float("nan")), "finite"),
        (lambda c: c.update(temperature=0), "temperature"),
        (lambda c: c["classes"][0].update(color=[1, 2, 300]), "colour"),
        (lambda c: c["classes"][0].pop("name"), "damaged"),
        (lambda c: c.update(classes=None), "damaged"),
    ],
)
def test_damaged_files_are_one_clear_line(vectors, tmp_path, change, says):
    path = tmp_path / "classes.json"
    save_few_shot(fit_few_shot(vectors, labelled(SPREAD)), path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(LabelError, match=says) as raised:
        load_few_shot(path)
    assert "\n" not in str(raised.value)


def test_what_is_no_file_of_ours_is_refused(tmp_path):
    with pytest.raises(LabelError, match="cannot be read"):
        load_few_shot(tmp_path / "absent.json")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(LabelError, match="not JSON"):
        load_few_shot(tmp_path / "a.json")
