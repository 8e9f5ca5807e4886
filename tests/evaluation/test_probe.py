"""Probes against scikit-learn, against cases by hand, and from the shell."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from napari_pathfm.cli import main
from napari_pathfm.errors import PathfmError
from napari_pathfm.evaluation import labelled_tiles
from napari_pathfm.evaluation._colour import colour_features
from napari_pathfm.evaluation._probe import (
    balanced_accuracy,
    confusion,
    folds,
    linear,
    nearest,
)
from napari_pathfm.evaluation._tiles import field_crops


def clusters(n=60, groups=4, apart=2.0, seed=0):
    """Three classes about three points; each group is shifted as a scanner shifts."""
    rng = np.random.default_rng(seed)
    labels = np.array(["a", "b", "c"])[np.arange(n) % 3]
    group = np.array([f"g{i}" for i in rng.integers(0, groups, n)])
    centres = {"a": (0, 0), "b": (apart, 0), "c": (0, apart)}
    features = np.array([centres[label] for label in labels], float)
    return features + 0.3 * rng.normal(size=features.shape), labels, group


def test_balanced_accuracy_by_hand_and_by_scikit_learn():
    labels = np.array(["a"] * 8 + ["b"] * 2)
    predicted = np.array(["a"] * 6 + ["b"] * 2 + ["b", "a"])
    found = balanced_accuracy(labels, predicted, draws=200)
    assert found.value == pytest.approx((6 / 8 + 1 / 2) / 2)
    assert found.value == pytest.approx(balanced_accuracy_score(labels, predicted))
    assert found.low < found.value < found.high
    np.testing.assert_allclose(
        confusion(labels, predicted, ["a", "b"]),
        confusion_matrix(labels, predicted, normalize="true"),
    )


def test_groups_are_resampled_whole():
    # Two groups, one all right and one all wrong: a draw is 0, a half or 1.
    labels = np.array(["a", "b"] * 10)
    predicted = np.where(np.arange(20) < 10, labels, "x")
    groups = np.array(["p"] * 10 + ["q"] * 10)
    found = balanced_accuracy(labels, predicted, draws=500, groups=groups)
    assert (found.low, found.value, found.high) == (0, 0.5, 1)


def test_a_class_that_a_draw_lacks_is_left_out_of_it():
    labels = np.array(["a"] * 9 + ["b"])
    found = balanced_accuracy(labels, labels, draws=300)
    assert (found.low, found.value, found.high) == (1, 1, 1)


def test_folds_keep_groups_together():
    _, labels, groups = clusters()
    splits, how = folds(labels, groups)
    assert how == "each of 4 groups left out once"
    assert len(splits) == 4
    many = np.array([f"g{i // 3}" for i in range(60)])
    splits, how = folds(labels, many)
    assert how == "5 folds of 20 groups"
    for fitted, tested in splits:
        assert not set(many[fitted]) & set(many[tested])
    assert sorted(np.concatenate([t for _, t in splits])) == list(range(60))
    splits, how = folds(labels, None)
    assert how == "5 stratified folds of tiles"
    ((fitted, tested),), _ = folds(labels, None, np.arange(60) < 20)
    assert tested.tolist() == list(range(20))
    assert len(fitted) == 40
    with pytest.raises(PathfmError, match="one group"):
        folds(labels, np.full(60, "g"))


def test_nearest_by_hand():
    # About their mean, fitted tiles lie at 135 (a) and at -45 degrees (b).
    features = np.array([[0, 1], [1, 0], [0.1, 0.9], [3.0, -2.0]])
    labels = np.array(["a", "b", "a", "b"])
    splits = [(np.array([0, 1]), np.array([2, 3]))]
    assert nearest(features, labels, splits, 1).predicted.tolist() == ["a", "b"]


def test_probes_tell_what_can_be_told_and_nothing_else():
    features, labels, groups = clusters(n=36, groups=3)
    splits, _ = folds(labels, groups)
    tested = labels[np.concatenate([rows for _, rows in splits])]
    assert np.mean(nearest(features, labels, splits, 5).predicted == tested) > 0.95
    assert np.mean(linear(features, labels, splits, groups).predicted == tested) > 0.95
    noise = np.random.default_rng(1).normal(size=(36, 2))
    assert np.mean(linear(noise, labels, splits, groups).predicted == tested) < 0.55


def test_no_answer_leaks_from_group_to_group():
    # Features name the group; within it, the label is chance.
    rng = np.random.default_rng(0)
    groups = np.array([f"g{i // 7}" for i in range(28)])
    labels = np.where(np.isin(groups, ["g0", "g1"]), "a", "b")
    features = np.array([int(g[1]) for g in groups])[:, None] == np.arange(4)
    features = features + 0.01 * rng.normal(size=features.shape)
    whole, _ = folds(labels, None)
    grouped, _ = folds(labels, groups)
    known = linear(features, labels, whole).predicted
    kept = linear(features, labels, grouped, groups).predicted
    assert np.mean(known == labels[np.concatenate([t for _, t in whole])]) == 1
    assert np.mean(kept == labels[np.concatenate([t for _, t in grouped])]) < 0.6


def test_colour_by_hand():
    tile = np.zeros((4, 4, 3), np.uint8)
    tile[:, 2:, 0] = 255  # red: half dark, half bright, one step in three across
    (row,) = colour_features([tile])
    np.testing.assert_allclose(row[[0, 3, 6]], [0.5, 0.5, 1 / 6], atol=1e-6)
    assert not row[[1, 2, 4, 5, 7, 8]].any()


def test_a_field_is_cut_or_resized():
    field = np.arange(100 * 120 * 3, dtype=np.uint32).reshape(100, 120, 3) % 251
    field = field.astype(np.uint8)
    assert [t.shape for t in field_crops(field, 56)] == [(56, 56, 3)]
    cut = field_crops(field, 56, 2)
    assert len(cut) == 4
    np.testing.assert_array_equal(cut[0], field[:56, :56])
    np.testing.assert_array_equal(cut[3], field[-56:, -56:])
    with pytest.raises(PathfmError, match="leave out --grid"):
        field_crops(field, 112, 2)


def write(folder, classes=("dark", "pale"), n=6, px=60):
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    for c, name in enumerate(classes):
        for number in range(n):
            noise = rng.integers(0, 60, (px, px, 3))
            tile = Image.fromarray((60 + 120 * c + noise).astype(np.uint8))
            tile.save(folder / f"{name}___case{number % 3}_{number}.png")


def test_labels_from_names_folders_and_tables(tmp_path):
    write(tmp_path / "flat")
    tiles = labelled_tiles(tmp_path / "flat", label="^(.+?)___", group="___(case.)")
    assert tiles.classes == ["dark", "pale"]
    assert sorted(set(tiles.groups)) == ["case0", "case1", "case2"]
    assert tiles.test is None
    for part in ("train", "test"):
        for name in ("dark", "pale"):
            write(tmp_path / "split" / part / name, (name,), n=2)
    tiles = labelled_tiles(tmp_path / "split")
    assert tiles.test.tolist() == [False] * 4 + [True] * 4
    assert tiles.groups is None
    table = tmp_path / "t.csv"
    names = [p.name for p in sorted((tmp_path / "flat").iterdir())]
    table.write_text("file,label\n" + "".join(f"{n},{n[0]}\n" for n in names))
    assert labelled_tiles(tmp_path / "flat", table=table).classes == ["d", "p"]


def test_what_cannot_be_probed(tmp_path):
    write(tmp_path / "flat")
    flat = tmp_path / "flat"
    for arguments, message in (
        ({"label": "(nothing)"}, "finds no label"),
        ({"label": "___"}, "put \\(...\\) around"),
        ({"label": "("}, "no regular expression"),
        ({}, "two labels at least"),
        ({"table": tmp_path / "no.csv"}, "cannot be read as CSV"),
    ):
        with pytest.raises(PathfmError, match=message):
            labelled_tiles(flat, **arguments)
    with pytest.raises(PathfmError, match="no folder of tiles"):
        labelled_tiles(tmp_path / "no")
    table = tmp_path / "t.csv"
    rows = [
        f"{p.name},{p.name[0]},g,{'train' if i % 2 else 'test'}\n"
        for i, p in enumerate(sorted(flat.iterdir()))
    ]
    table.write_text("file,label,group,split\n" + "".join(rows))
    with pytest.raises(PathfmError, match="g is in train and in test"):
        labelled_tiles(flat, table=table)
    table.write_text("file,label\nno.png,a\n")
    with pytest.raises(PathfmError, match=r"names no\.png"):
        labelled_tiles(flat, table=table)


def test_from_the_shell(tmp_path, in_the_shell, capsys):
    write(tmp_path / "flat")
    arguments = ["evaluate", "probe", str(tmp_path / "flat"), "--label", "^(.+?)___"]
    arguments += ["--group", "___(case.)", "--k", "1", "--k", "3", "--bootstrap", "50"]
    arguments += ["--encoder", "bundled", "--out", str(tmp_path / "o"), "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    figures = report["results"]["balanced_accuracy"]
    assert list(figures) == [
        "1 nearest",
        "3 nearest",
        "linear",
        "linear on colour and contrast",
    ]
    assert figures["linear on colour and contrast"]["value"] == 1
    assert figures["linear"]["value"] > 0.8
    assert report["facts"]["codec"] == "PNG (lossless)"
    assert report["facts"]["split"] == "each of 3 groups left out once"
    assert "of groups" in report["facts"]["intervals"]
    assert len(report["results"]["predictions"]) == 12
    page = (tmp_path / "o" / "probe.html").read_text()
    assert page.count("<svg") == 2
