"""Search over many stores: exact, whole, and honest about what it went without."""

from __future__ import annotations

import itertools
import shutil

import numpy as np
import pytest
from made_stores import DIM, made_store

from napari_pathfm.embeddings import find_stores, open_store
from napari_pathfm.errors import (
    Cancelled,
    IncomparableError,
    OutsideSlideError,
    StoreError,
)
from napari_pathfm.heatmaps import _searched, search

PLACE = (35.0, 25.0)  # row 2 and column 3 of the lattice: row 23 of ten columns


@pytest.fixture
def stores(tmp_path):
    return [made_store(tmp_path / f"{i}.zarr", seed=i) for i in range(3)]


def unit(vectors):
    vectors = np.asarray(vectors, np.float64)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def by_numpy(direction, stores, own=()):
    """All tiles of all stores, best first: (score, store, x, y)."""
    found = []
    for store in stores:
        scores = unit(store.features) @ direction
        for row, (score, done) in enumerate(zip(scores, store.done, strict=True)):
            if done and (store.path, row) not in own:
                x, y = store.coords[row] + 5
                found.append((score, str(store.path), x, y))
    return sorted(found, reverse=True)


def same(hits, wanted):
    assert [(hit.store, hit.x, hit.y) for hit in hits] == [w[1:] for w in wanted]
    scores = [w[0] for w in wanted]
    np.testing.assert_allclose([hit.score for hit in hits], scores, atol=1e-6)


@pytest.mark.parametrize("block", [16_384, 7])
def test_it_finds_what_numpy_finds(stores, monkeypatch, block):
    monkeypatch.setattr(_searched, "_BLOCK", block)
    query = stores[0]
    direction = unit(query.features[23])
    wanted = by_numpy(direction, stores, {(query.path, 23)})
    hits = search(query, [PLACE], stores, 20)
    same(hits, wanted[:20])
    assert {hit.store for hit in hits} == {str(store.path) for store in stores}
    assert hits[0].slide.startswith("/slides/")
    # Paths do as well as open stores, in whatever order.
    assert search(query, [PLACE], [s.path for s in stores[::-1]], 20) == hits


def test_several_places_mean_their_mean(stores):
    query = stores[0]
    vectors = unit(query.features)
    outline = [(0, 0), (30, 0), (30, 10), (0, 10)]  # rows 0, 1 and 2
    # A region counts as much as a point, however many tiles it has.
    mean = unit(vectors[23]) + unit(vectors[[0, 1, 2]].mean(0))
    own = {(query.path, row) for row in (0, 1, 2, 23)}
    wanted = by_numpy(unit(mean), stores, own)
    same(search(query, [PLACE, outline], stores, 9), wanted[:9])


def test_its_own_place_is_left_out_in_every_store_of_the_slide(tmp_path, stores):
    twice = made_store(tmp_path / "again.zarr", seed=0)
    hits = search(stores[0], [PLACE], [stores[0], twice], 1000)
    # 80 tiles less the place itself, each once.
    assert len(hits) == 79
    assert len({(hit.x, hit.y) for hit in hits}) == 79
    assert PLACE not in {(hit.x, hit.y) for hit in hits}


def test_the_whole_slide_may_be_left_out(tmp_path, stores):
    twice = made_store(tmp_path / "again.zarr", seed=0)
    hits = search(stores[0], [PLACE], [*stores, twice], 1000, others=True)
    assert len(hits) == 160
    assert {hit.store for hit in hits} == {str(s.path) for s in stores[1:]}


def test_more_than_there_is_gives_what_there_is(tmp_path, stores):
    done = np.arange(80) % 2 == 1
    half = made_store(tmp_path / "half.zarr", seed=7, done=done)
    nothing = made_store(tmp_path / "none.zarr", seed=8, done=np.zeros(80, bool))
    hits = search(stores[0], [PLACE], [half, nothing], 500)
    assert len(hits) == 40
    centres = half.coords[done] + 5
    assert {(h.x, h.y) for h in hits} == {tuple(c) for c in centres.tolist()}
    assert search(stores[0], [PLACE], [], 5) == []


def test_equal_scores_come_in_the_order_of_tiles(tmp_path, stores):
    vectors = np.ones((80, DIM))
    flat = made_store(tmp_path / "flat.zarr", vectors=vectors, seed=5)
    hits = search(stores[0], [PLACE], [flat], 15)
    assert [(h.x, h.y) for h in hits[:11]] == [
        *((10 * i + 5, 5) for i in range(10)),
        (5, 15),
    ]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"encoder": "another"}, "another encoder"),
        ({"mpp": 0.25}, "another tile mpp"),
        ({"weights_revision": "unknown"}, "does not say its weights"),
    ],
)
def test_stores_of_another_kind_are_refused_in_one_line(
    tmp_path, stores, changes, says
):
    other = made_store(tmp_path / "other.zarr", seed=9, **changes)
    with pytest.raises(IncomparableError, match=says) as caught:
        search(stores[0], [PLACE], [*stores, other])
    assert "other.zarr" in str(caught.value)
    assert "\n" not in str(caught.value)
    # Who wants to go on hears of it, and gets the rest.
    told = {}
    hits = search(stores[0], [PLACE], [other, *stores], on_left_out=told.__setitem__)
    assert hits == search(stores[0], [PLACE], stores)
    assert isinstance(told[other.path], IncomparableError)


def damage(store):
    for chunk in (store.path / "features" / "c").rglob("*"):
        if chunk.is_file():
            chunk.write_bytes(chunk.read_bytes()[:9])


@pytest.mark.parametrize("how", ["cut", "gone", "no json"])
def test_one_that_cannot_be_read_is_named_and_the_rest_searched(stores, how):
    query, bad, _ = stores
    if how == "cut":
        damage(bad)
    elif how == "gone":
        shutil.rmtree(bad.path)
    else:
        (bad.path / "zarr.json").write_text("{")
    paths = [store.path for store in stores]
    with pytest.raises(StoreError, match=r"1\.zarr") as caught:
        search(query, [PLACE], paths)
    assert "\n" not in str(caught.value)
    told = {}
    hits = search(query, [PLACE], paths, on_left_out=told.__setitem__)
    assert list(told) == [bad.path]
    assert hits == search(query, [PLACE], [paths[0], paths[2]])


def test_it_says_how_far_it_is_and_stops(stores, monkeypatch):
    monkeypatch.setattr(_searched, "_BLOCK", 50)
    told = []
    search(stores[0], [PLACE], stores, progress=lambda *now: told.append(now))
    assert told == [(n, 240) for n in (50, 80, 130, 160, 210, 240)]
    asked = itertools.count()
    with pytest.raises(Cancelled):
        search(stores[0], [PLACE], stores, cancelled=lambda: next(asked) == 3)


def test_a_place_is_needed_and_must_hold_an_embedded_tile(tmp_path, stores):
    with pytest.raises(StoreError, match="at least one place"):
        search(stores[0], [], stores)
    with pytest.raises(OutsideSlideError, match="no tissue tile"):
        search(stores[0], [(500.0, 500.0)], stores)
    done = np.arange(80) != 23
    query = made_store(tmp_path / "query.zarr", done=done)
    with pytest.raises(StoreError, match="not embedded yet"):
        search(query, [PLACE], stores)


def test_folders_of_stores_are_gone_through(tmp_path, stores):
    made_store(tmp_path / "deep" / "b" / "x.zarr")
    picture = tmp_path / "deep" / "picture.zarr"
    picture.mkdir()
    (picture / "zarr.json").write_text('{"attributes": {"ome": {"multiscales": []}}}')
    (tmp_path / "empty").mkdir()
    found = find_stores([stores[1].path, tmp_path])
    names = ["1.zarr", "0.zarr", "2.zarr", "x.zarr"]
    assert [path.name for path in found] == names
    for path in found:
        open_store(path)
    with pytest.raises(StoreError, match="holds no embedding store"):
        find_stores([tmp_path / "empty"])
    # What does not exist is for open_store to say.
    assert find_stores([tmp_path / "absent.zarr"]) == [tmp_path / "absent.zarr"]
