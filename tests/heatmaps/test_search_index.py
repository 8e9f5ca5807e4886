"""An index gives what exact search gives, or says why it does not."""

from __future__ import annotations

import shutil
import subprocess
import sys

import numpy as np
import pytest
from made_stores import made_store

from napari_pathfm.embeddings import open_store
from napari_pathfm.encoders import Features
from napari_pathfm.errors import (
    Cancelled,
    IncomparableError,
    OutputError,
    StoreError,
)
from napari_pathfm.heatmaps import build_index, open_index, search

pytest.importorskip("usearch", reason="usearch is not installed: [index]")

PLACE = (35.0, 25.0)


@pytest.fixture
def stores(tmp_path):
    folder = tmp_path / "stores"
    return [made_store(folder / f"{i}.zarr", 20, 30, seed=i) for i in range(3)]


@pytest.fixture
def file(tmp_path, stores):
    path = tmp_path / "all.index"
    build_index(stores, path)
    return path


def test_it_gives_the_same_answer_in_the_same_form(stores, file):
    index = open_index(file)
    assert len(index) == 1800
    assert index.stores == [store.path for store in stores]
    # Scores are those of the stored vectors, to the last digit that matters.
    for others in (False, True):
        exact = search(stores[0], [PLACE], stores, 20, others=others)
        found = search(stores[0], [PLACE], index, 20, others=others)
        assert [hit[:4] for hit in found] == [hit[:4] for hit in exact]
        scores = [hit.score for hit in exact]
        np.testing.assert_allclose([hit.score for hit in found], scores, atol=1e-6)


def test_a_large_place_leaves_room_for_answers(stores, file):
    # Half of the slide is the query, and so no answer.
    region = [(0, 0), (300, 0), (300, 100), (0, 100)]
    exact = search(stores[0], [region], stores, 30)
    found = search(stores[0], [region], open_index(file), 30)
    assert len({hit[:4] for hit in found} & {hit[:4] for hit in exact}) >= 29
    assert all(hit.store != str(stores[0].path) or hit.y > 100 for hit in found)


def test_tiles_that_are_not_embedded_are_not_in_it(tmp_path, stores):
    done = np.arange(600) % 3 == 0
    third = made_store(tmp_path / "third.zarr", 20, 30, seed=4, done=done)
    index = build_index([third], tmp_path / "third.index")
    assert len(index) == 200
    hits = search(stores[0], [PLACE], index, 1000)
    centres = {tuple(c) for c in (third.coords[done] + 5).tolist()}
    # The graph may miss one of all of them; it invents none.
    assert {(hit.x, hit.y) for hit in hits} <= centres
    assert len(hits) > 190


def test_a_store_that_has_changed_is_told(tmp_path, stores):
    done = np.arange(600) != 7
    store = made_store(tmp_path / "half.zarr", 20, 30, seed=4, done=done)
    build_index([*stores, store], tmp_path / "all.index")
    held = open_index(tmp_path / "all.index")
    vector = np.ones((1, store.features.shape[1]), np.float32)
    features = Features(vector, np.zeros((0, 0, 0, 0), np.float32), vector)
    writable = open_store(store.path, writable=True)
    writable.write(np.array([7]), features)
    with pytest.raises(StoreError, match=r"half\.zarr has changed since all\.index"):
        open_index(tmp_path / "all.index")
    with pytest.raises(StoreError, match="has changed"):
        search(stores[0], [PLACE], held, 1000)
    shutil.rmtree(store.path)
    with pytest.raises(StoreError, match=r"half\.zarr is gone"):
        open_index(tmp_path / "all.index")
    # The same slide by other weights, as many tiles.
    made_store(store.path, 20, 30, seed=4, done=done, weights_revision="r2")
    with pytest.raises(StoreError, match="has changed"):
        open_index(tmp_path / "all.index")


def test_it_moves_with_its_stores(tmp_path, stores, file):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    shutil.move(tmp_path / "stores", elsewhere)
    shutil.move(file, elsewhere)
    index = open_index(elsewhere / file.name)
    assert index.stores[0] == elsewhere / "stores" / "0.zarr"
    query = open_store(index.stores[0])
    assert len(search(query, [PLACE], index, 5)) == 5


def test_only_stores_that_compare_go_in_and_only_such_are_searched(
    tmp_path, stores, file
):
    other = made_store(tmp_path / "other.zarr", 20, 30, seed=9, mpp=0.25)
    with pytest.raises(IncomparableError, match=r"0\.zarr and other\.zarr"):
        build_index([*stores, other], tmp_path / "both.index")
    with pytest.raises(IncomparableError, match=r"other\.zarr and all\.index"):
        search(other, [PLACE], open_index(file))
    told = {}
    index = build_index(
        [*stores, other], tmp_path / "both.index", on_left_out=told.__setitem__
    )
    assert list(told) == [other.path]
    assert len(index) == 1800


def test_a_damaged_store_is_left_out_whole(tmp_path, stores):
    last = stores[1].path / "features" / "c" / "2" / "0"
    last.write_bytes(last.read_bytes()[:9])
    told = {}
    index = build_index(stores, tmp_path / "x.index", on_left_out=told.__setitem__)
    assert list(told) == [stores[1].path]
    assert len(index) == 1200
    hits = search(stores[0], [PLACE], index, 20)
    exact = search(stores[0], [PLACE], [stores[0], stores[2]], 20)
    assert [hit[:4] for hit in hits] == [hit[:4] for hit in exact]


def test_the_file_is_whole_or_not_there(tmp_path, stores, file, monkeypatch):
    before = file.read_bytes()
    with pytest.raises(Cancelled):
        build_index(stores, file, cancelled=lambda: True)
    monkeypatch.setattr("os.replace", _full)
    with pytest.raises(OutputError, match="No space left"):
        build_index(stores, file)
    monkeypatch.undo()
    with pytest.raises(OutputError, match="make the folder"):
        build_index(stores, tmp_path / "no" / "x.index")
    assert file.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == [file.name, "stores"]


def _full(*_):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("left", [0, 5, 1000, -1])
def test_what_is_no_index_is_one_line(file, left):
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(StoreError, match="no search index, or it is damaged"):
        open_index(file)


def test_what_is_not_there_is_one_line(tmp_path):
    with pytest.raises(StoreError, match="napari-pathfm index STORES --out"):
        open_index(tmp_path / "absent.index")
    with pytest.raises(StoreError, match="nothing embedded"):
        build_index([], tmp_path / "x.index")


def test_without_usearch_a_line_says_how_to_get_it(tmp_path, stores, monkeypatch):
    monkeypatch.setitem(sys.modules, "usearch.index", None)
    for call in (lambda: build_index(stores, tmp_path / "x"), lambda: open_index("x")):
        with pytest.raises(StoreError, match=r"pip install 'napari-pathfm\[index\]'"):
            call()
    # Exact search asks for nothing.
    code = "import sys, napari_pathfm.heatmaps; sys.exit('usearch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
