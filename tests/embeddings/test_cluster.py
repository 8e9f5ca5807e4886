"""Runs on dask.distributed: the same stores, whatever happens to workers."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from colours import Colours, ColoursRecipe

from napari_pathfm import embeddings
from napari_pathfm.cli import main
from napari_pathfm.embeddings import (
    RunSettings,
    SlideEntry,
    _cluster,
    _cluster_job,
    cluster_client,
    embed_slides,
    embed_slides_on,
    open_store,
)
from napari_pathfm.errors import Cancelled, PathfmError, WeightsError
from napari_pathfm.slides import draw_slide

distributed = pytest.importorskip("distributed")

FINE = RunSettings(stride=56)


@pytest.fixture(scope="module")
def client():
    """Two workers, as threads of this process: quick, and the same messages."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=False,
            dashboard_address="127.0.0.1:0",
            silence_logs=50,
        ) as cluster,
        distributed.Client(cluster, set_as_default=False) as client,
    ):
        yield client


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch):
    monkeypatch.setattr(_cluster_job, "RANGE", 64)


@pytest.fixture
def slides(slide, tmp_path):
    small = tmp_path / "small.tif"
    draw_slide(small, width=700, height=600, levels=1, seed=3)
    (tmp_path / "broken.svs").write_text("no slide")
    return [SlideEntry(p) for p in (slide.path, tmp_path / "broken.svs", small)]


def same(first, second):
    first, second = open_store(first), open_store(second)
    for name in ("coords", "cells", "features", "done"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    if first.patches is not None:
        np.testing.assert_array_equal(first.patches[:], second.patches[:])
    assert {**first.attrs, "software": 0} == {**second.attrs, "software": 0}


def test_the_stores_are_those_of_one_process(client, slides, tmp_path):
    settings = RunSettings(stride=112, patches=True)
    ended, seen = [], []
    reports = embed_slides_on(
        client,
        slides,
        ColoursRecipe(),
        tmp_path / "c",
        settings=settings,
        progress=lambda *now: seen.append(now),
        on_report=ended.append,
    )
    wanted = embed_slides(slides, Colours(), tmp_path / "p", settings=settings)
    assert [r.slide for r in reports] == [entry.path for entry in slides]
    assert sorted(map(str, ended)) == sorted(map(str, reports))
    for ours, theirs in zip(reports, wanted, strict=True):
        assert (ours.tiles, ours.embedded) == (theirs.tiles, theirs.embedded)
        assert (ours.error is None) == (theirs.error is None)
        if ours.error is None:
            same(ours.store, theirs.store)
    assert "broken.svs" in reports[1].error
    assert seen[-1][1] == seen[-1][2]
    left = {path.name for path in (tmp_path / "c").iterdir()}
    assert left == {reports[0].store.name, reports[2].store.name}


def test_the_client_is_nobodys_default(client, slides, tmp_path):
    embed_slides_on(client, slides[2:], ColoursRecipe(), tmp_path / "c")
    with pytest.raises(ValueError, match="No clients"):
        distributed.default_client()


def test_stopped_and_gone_on_with_in_one_process(client, slides, tmp_path):
    seen = []
    with pytest.raises(Cancelled):
        embed_slides_on(
            client,
            slides[:1],
            ColoursRecipe(0.01),
            tmp_path / "c",
            settings=FINE,
            progress=lambda _, done, total: seen.append(done),
            cancelled=lambda: len(seen) > 2,
        )
    (out,) = (tmp_path / "c").iterdir()  # and no lock
    assert 0 < open_store(out).done.sum() < len(open_store(out).done)
    embed_slides(slides[:1], Colours(), tmp_path / "c", settings=FINE)
    embed_slides(slides[:1], Colours(), tmp_path / "p", settings=FINE)
    same(out, tmp_path / "p" / out.name)


def test_tiles_that_cannot_be_read_are_listed_by_the_store(client, slides, tmp_path):
    copy = tmp_path / "copy.tif"
    shutil.copy(slides[0].path, copy)
    data = bytearray(copy.read_bytes())
    data[len(data) // 4 : len(data) // 4 + 2000] = bytes(2000)
    copy.write_bytes(data)
    entries = [SlideEntry(copy)]
    (ours,) = embed_slides_on(client, entries, ColoursRecipe(), tmp_path / "c")
    (theirs,) = embed_slides(entries, Colours(), tmp_path / "p")
    assert ours.failed == theirs.failed
    assert len(ours.failed) > 0
    same(ours.store, theirs.store)


def test_weights_that_workers_lack_or_differ_in(client, slides, tmp_path):
    with pytest.raises(WeightsError, match="no weights on this worker"):
        embed_slides_on(client, slides, ColoursRecipe(broken=True), tmp_path / "c")
    (report,) = embed_slides_on(
        client, slides[:1], ColoursRecipe(differ=True), tmp_path / "c", settings=FINE
    )
    assert "different weights" in report.error


def test_no_scheduler_and_no_distributed_are_one_line(monkeypatch):
    monkeypatch.setattr(_cluster, "_PATIENCE_S", 1)
    with (
        pytest.raises(PathfmError, match="no scheduler answers at tcp://127"),
        cluster_client("tcp://127.0.0.1:9"),
    ):
        pass

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(_cluster, "import_module", missing)
    with (
        pytest.raises(PathfmError, match=r"napari-pathfm\[distributed\]"),
        cluster_client(workers=2),
    ):
        pass


def test_a_running_scheduler_is_joined_by_its_address(client, monkeypatch):
    with cluster_client(client.scheduler.address) as other:
        assert len(other.scheduler_info()["workers"]) == 2
        with pytest.raises(ValueError, match="No clients"):
            distributed.default_client()
    assert other.status == "closed"
    assert client.status == "running"
    monkeypatch.setattr(_cluster, "_PATIENCE_S", 1)
    with (
        distributed.LocalCluster(
            n_workers=0, processes=False, dashboard_address="127.0.0.1:0"
        ) as empty,
        pytest.raises(PathfmError, match="has no workers"),
        cluster_client(empty.scheduler_address),
    ):
        pass


def test_workers_take_turns_at_the_cards():
    devices = [_cluster.device_of(place, "auto", 2) for place in (0, 1, 2)]
    assert devices == ["cuda:0", "cuda:1", "cuda:0"]
    assert _cluster.device_of(1, "cpu", 2) == "cpu"
    assert _cluster.device_of(1, "auto", 1) == "auto"
    assert _cluster.device_of("tcp://a", "auto", 2) == "auto"


def test_from_the_shell(client, slides, tmp_path, monkeypatch, capsys):
    asked = []

    @contextmanager
    def lend(scheduler, workers):
        asked.append((scheduler, workers))
        yield client

    def recipe(*arguments):
        asked.append(arguments)
        return ColoursRecipe()

    monkeypatch.setattr(embeddings, "cluster_client", lend)
    monkeypatch.setattr(embeddings, "EncoderRecipe", recipe)
    paths = [str(entry.path) for entry in slides]
    embed = ["embed", *paths, "--encoder", "bundled", "--out", str(tmp_path / "c")]
    assert main([*embed, "--scheduler", "tcp://head:8786", "--json"]) == 1
    printed = capsys.readouterr()
    assert "broken.svs" in printed.err
    told = json.loads(printed.out)
    assert [r["embedded"] == r["tiles"] > 0 for r in told] == [True, False, True]
    assert [r["slide"] for r in told] == paths
    assert main([*embed[:2], *embed[-4:], "--workers", "2", "--device", "cpu"]) == 0
    recipes, lent = asked[::2], asked[1::2]
    assert lent == [("tcp://head:8786", None), (None, 2)]
    assert [made[2:] for made in recipes] == [
        ("auto", None, None, "auto", "torch"),
        ("cpu", None, max(1, (os.cpu_count() or 1) // 2), "auto", "torch"),
    ]
    with pytest.raises(SystemExit) as left:
        main([*embed, "--workers", "2", "--scheduler", "tcp://head:8786"])
    assert left.value.code == 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_worker_costs_its_range(slides, tmp_path):
    killed = []
    with cluster_client(workers=2) as client:
        pids = list(client.run(os.getpid).values())

        def kill_one(_name, done, _total):
            if done and not killed:
                killed.append(done)
                os.kill(pids[0], signal.SIGKILL)

        (report,) = embed_slides_on(
            client,
            slides[:1],
            ColoursRecipe(0.05),
            tmp_path / "c",
            settings=FINE,
            progress=kill_one,
        )
    assert killed
    assert report.error is None
    embed_slides(slides[:1], Colours(), tmp_path / "p", settings=FINE)
    same(report.store, tmp_path / "p" / report.store.name)
