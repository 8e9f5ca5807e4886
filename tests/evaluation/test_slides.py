"""Heads: the network, nested cross-validation, the file, and the shell."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import zarr
from safetensors.torch import save_file
from sklearn.metrics import roc_auc_score

from napari_pathfm.cli import main
from napari_pathfm.embeddings import embed_slide
from napari_pathfm.errors import PathfmError, StoreError, WeightsError
from napari_pathfm.evaluation import (
    Head,
    Schedule,
    Setting,
    labelled_slides,
    load_head,
    save_head,
)
from napari_pathfm.evaluation._abmil import (
    Abmil,
    probabilities,
    train,
    weights_of_tiles,
)
from napari_pathfm.evaluation._nested import (
    auc,
    choose,
    nested_validation,
    patient_folds,
)

FAST = (Setting(3e-3, 0.0),)
SHORT = Schedule(epochs=12, batch=4)


def bags(n=24, dim=6, seed=0):
    """Slides of chance tiles; a positive one holds three witnesses."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    made = []
    for label in labels:
        bag = rng.normal(size=(rng.integers(8, 14), dim)).astype(np.float32)
        if label:
            bag[:3, 0] += 4
        made.append(bag)
    return made, labels.astype(np.int64), np.array([f"p{i}" for i in range(n)])


def test_the_network_by_hand():
    torch.manual_seed(0)
    network = Abmil(5, 2)
    bag = torch.randn(1, 7, 5)
    logits, weights = network(bag, torch.ones(1, 7, dtype=torch.bool))
    embedded = network.embed(bag[0])
    scores = network.score(
        torch.tanh(network.content(embedded)) * torch.sigmoid(network.gate(embedded))
    )
    expected = torch.exp(scores) / torch.exp(scores).sum()
    torch.testing.assert_close(weights[0], expected[:, 0])
    torch.testing.assert_close(
        logits[0], network.classify((expected * embedded).sum(0))
    )


def test_what_is_padded_counts_for_nothing():
    torch.manual_seed(0)
    network = Abmil(5, 2)
    short, long = np.ones((3, 5), np.float32), np.zeros((9, 5), np.float32)
    from napari_pathfm.evaluation._abmil import _padded

    together = network(*_padded([short, long]))[0].softmax(1)[0].detach().numpy()
    np.testing.assert_allclose(together, probabilities(network, [short])[0], atol=1e-6)
    assert weights_of_tiles(network, long).sum() == pytest.approx(1)


def test_one_batch_is_learned_by_heart():
    made, labels, _ = bags(n=8)
    network, watched = train(
        made, labels, 2, Setting(3e-3, 0.0), Schedule(epochs=40), seed=0, watch=made
    )
    assert watched.shape == (40, 8, 2)
    assert watched[-1][np.arange(8), labels].min() > 0.98
    np.testing.assert_allclose(watched[-1], probabilities(network, made), atol=1e-6)
    # The witnesses are what it looks at.
    assert weights_of_tiles(network, made[1])[:3].sum() > 0.5


def test_a_seed_is_a_result():
    made, labels, _ = bags(n=8)
    once, again, other = (
        train(made, labels, 2, FAST[0], Schedule(epochs=2, tiles=5), seed=s, watch=made)
        for s in (0, 0, 1)
    )
    np.testing.assert_array_equal(once[1], again[1])
    assert not np.array_equal(once[1], other[1])


def test_auc_is_scikit_learns():
    rng = np.random.default_rng(0)
    said = np.round(rng.dirichlet(np.ones(3), 60), 1)  # with ties
    labels = rng.integers(0, 3, 60)
    expected = [roc_auc_score(labels == c, said[:, c]) for c in range(3)]
    assert auc(labels, said) == pytest.approx(np.mean(expected))
    two = np.stack([1 - said[:, 0], said[:, 0]], axis=1)
    assert auc(labels // 2, two) == pytest.approx(
        roc_auc_score(labels // 2, said[:, 0])
    )
    assert np.isnan(auc(np.zeros(5, int), two[:5]))


def test_patients_stay_on_one_side():
    labels = np.arange(24) % 2
    patients = np.array([f"p{i // 4}{i % 2}" for i in range(24)])
    splits = patient_folds(labels, patients, 3, 0)
    for fitted, tested in splits:
        assert not set(patients[fitted]) & set(patients[tested])
        assert set(labels[tested]) == {0, 1}
    with pytest.raises(PathfmError, match="7 folds need 7 patients"):
        patient_folds(labels, patients, 7, 0)


def test_nested_validation_finds_witnesses_and_no_more():
    made, labels, patients = bags()
    options = {"outer": 2, "inner": 2, "settings": FAST, "schedule": SHORT}
    found = nested_validation(made, labels, patients, **options)
    assert auc(labels, found.ensemble) > 0.9
    assert auc(labels, found.retrained) > 0.9
    assert sorted(set(found.fold)) == [0, 1]
    chance = np.random.default_rng(3).permutation(labels)
    found = nested_validation(made, chance, patients, **options)
    assert auc(chance, found.ensemble) < 0.85


def test_the_better_setting_is_chosen():
    made, labels, patients = bags()
    settings = (Setting(1e-9, 0.0), *FAST)
    found = choose(
        made,
        labels,
        patients,
        classes=2,
        inner=2,
        settings=settings,
        schedule=SHORT,
        seed=0,
        outside=made[:3],
    )
    assert found.setting == FAST[0]
    assert found.auc > 0.9
    assert found.outside.shape == (2, 3, 2)


class Store:
    """As much of an embedding store as heads look at."""

    def __init__(self, name, features, **attrs):
        self.path, self.features = name, features.astype(np.float16)
        self.done = np.ones(len(features), bool)
        self.attrs = {
            "slide": f"{name}.svs",
            "encoder": "e",
            "weights_revision": "r",
            "pooling": "cls",
            "mpp": 0.5,
            "tile_px": 224,
        } | attrs


def test_a_head_comes_back_from_its_file(tmp_path):
    networks = tuple(Abmil(4, 2).eval() for _ in range(2))
    about = {"features": {"encoder": "e", "mpp": 0.5}, "slides": 8}
    head = Head(networks, ("benign", "tumour"), about)
    file = tmp_path / "head.safetensors"
    save_head(head, file)
    again = load_head(file)
    assert again.classes == head.classes
    assert again.provenance == about
    bag = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    np.testing.assert_array_equal(again.predict(bag), head.predict(bag))
    each = np.stack([probabilities(network, [bag])[0] for network in networks])
    np.testing.assert_allclose(head.predict(bag), each.mean(0))
    assert again.attention(bag).sum() == pytest.approx(1)
    assert [p.name for p in tmp_path.iterdir()] == ["head.safetensors"]
    assert again.features_of(Store("s", bag)).shape == (5, 4)
    with pytest.raises(StoreError, match="has encoder other, and the head learned"):
        again.features_of(Store("s", bag, encoder="other"))
    # The same weights from a folder and from the hub are the same weights.
    hub = Head(networks, head.classes, {"features": {"weights_revision": "hub@1:abc"}})
    assert len(hub.features_of(Store("s", bag, weights_revision="local:abc"))) == 5
    with pytest.raises(StoreError, match="has weights_revision local:abd"):
        hub.features_of(Store("s", bag, weights_revision="local:abd"))


def test_what_is_no_head(tmp_path):
    with pytest.raises(WeightsError, match="no head, or it is damaged"):
        load_head(tmp_path / "no.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"xxxxxxxxxxxx")
    with pytest.raises(WeightsError, match="no head, or it is damaged"):
        load_head(tmp_path / "bad.safetensors")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WeightsError, match="is no head that"):
        load_head(tmp_path / "other.safetensors")


def test_stores_and_table_are_brought_together(tmp_path):
    made, _, _ = bags(n=4)
    stores = [Store(f"s{i}", bag) for i, bag in enumerate(made)]
    stores[0].done[:2] = False
    table = tmp_path / "t.csv"
    table.write_text("slide,label,patient\ns0.svs,a,p\ns1,b,p\ns2,a,q\n")
    slides = labelled_slides(stores, table)
    assert slides.names == ("s0", "s1", "s2")
    assert slides.labels.tolist() == [0, 1, 0]
    assert slides.patients.tolist() == ["p", "p", "q"]
    assert len(slides.bags[0]) == len(made[0]) - 2
    with pytest.raises(StoreError, match="are both of s0"):
        labelled_slides([*stores, stores[0]], table)
    stores[1].attrs["mpp"] = 0.25
    with pytest.raises(StoreError, match="differ in mpp"):
        labelled_slides(stores, table)
    for text, message in (
        ("slide,label\ns9,a\n", "no store is of s9"),
        ("slide,label\ns0,a\n", "two labels at least"),
        ("slide,label\ns0,\n", "gives s0 no label"),
        ("name\nx\n", "needs the columns slide, label"),
    ):
        table.write_text(text)
        with pytest.raises(PathfmError, match=message):
            labelled_slides(stores, table)


def test_real_stores(tmp_path, slide, encoder, monkeypatch, capsys):
    monkeypatch.setattr("napari_pathfm.evaluation._nested.SETTINGS", FAST)
    store = embed_slide(slide, encoder, tmp_path / "one.zarr")
    rows = []
    for number in range(8):
        copied = tmp_path / "stores" / f"s{number}.zarr"
        shutil.copytree(store.path, copied)
        group = zarr.open_group(copied)
        group.attrs["slide"] = f"s{number}.svs"
        rows.append(f"s{number}.svs,{'ab'[number % 2]}\n")
    table, head = tmp_path / "t.csv", tmp_path / "head.safetensors"
    table.write_text("slide,label\n" + "".join(rows))
    arguments = ["evaluate", "slides", str(tmp_path / "stores"), "--labels", str(table)]
    arguments += ["--folds", "2", "--epochs", "1", "--bootstrap", "20"]
    arguments += ["--head", str(head), "--out", str(tmp_path)]
    assert main(arguments) == 0
    assert "ensemble: AUC" in capsys.readouterr().out
    kept = load_head(head)
    features = kept.features_of(store)
    assert kept.attention(features).shape == (len(store.coords),)
    assert kept.provenance["features"]["weights_revision"] == "random:0"
    assert main(["evaluate", "slides", str(tmp_path), "--labels", str(head)]) == 1
    assert "cannot be read as CSV" in capsys.readouterr().err


def test_from_the_shell(tmp_path, monkeypatch, capsys):
    made, labels, _ = bags(n=16)
    stores = {f"s{i:02}": Store(f"s{i:02}", bag) for i, bag in enumerate(made)}
    for name in stores:
        (tmp_path / f"{name}.zarr").mkdir()
    monkeypatch.setattr(
        "napari_pathfm.embeddings.open_store", lambda path: stores[path.stem]
    )
    monkeypatch.setattr("napari_pathfm.evaluation._nested.SETTINGS", FAST)
    table = tmp_path / "t.csv"
    rows = [f"{n},{'ab'[c]}\n" for n, c in zip(stores, labels, strict=True)]
    table.write_text("slide,label\n" + "".join(rows))
    head = tmp_path / "head.safetensors"
    arguments = ["evaluate", "slides", str(tmp_path), "--labels", str(table)]
    arguments += ["--folds", "2", "--epochs", "15", "--bootstrap", "50"]
    arguments += ["--head", str(head), "--out", str(tmp_path / "o"), "--json"]
    assert main(arguments) == 0
    report = json.loads(capsys.readouterr().out)
    assert list(report["results"]["auc"]) == [
        "ensemble",
        "retrained",
        "ensemble over retrained",
    ]
    assert report["results"]["auc"]["ensemble"]["value"] > 0.8
    assert len(report["results"]["predictions"]) == 16
    assert report["facts"]["encoder"] == "e"
    kept = load_head(head)
    assert len(kept.networks) == 2
    said = np.stack([kept.predict(bag) for bag in made])
    assert roc_auc_score(labels, said[:, 1]) > 0.9
    assert kept.provenance["cross_validated"] == report["results"]["auc"]
    assert kept.provenance["features"]["encoder"] == "e"
    assert main([*arguments[:-1], "--folds", "1"]) == 1
    assert "--folds 2 at least" in capsys.readouterr().err
