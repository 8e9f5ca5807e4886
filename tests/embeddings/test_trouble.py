"""What goes wrong in a long run: said in one line, and nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest
import tifffile

from napari_pathfm.embeddings import _ahead, _disk, _run, embed_slide, open_store
from napari_pathfm.errors import OutputError, SlideError, StoreError
from napari_pathfm.slides import open_slide, tile_grid


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    """Many writes of few tiles: much can go wrong between them, and soon."""
    monkeypatch.setattr(_run, "BATCH", 4)
    monkeypatch.setattr(_ahead, "AHEAD", 1)


@pytest.fixture
def copy(slide, tmp_path):
    """A slide of its own, to be harmed."""
    path = tmp_path / "copy.tif"
    shutil.copy(slide.path, path)
    return path


def segments(path, level=0):
    with tifffile.TiffFile(path) as file:
        page = file.series[0].levels[level].keyframe
        return list(zip(page.dataoffsets, page.databytecounts, strict=True))


def overwrite(path, offset, data):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def test_unreadable_tiles_are_listed_and_read_next_time(copy, slide, encoder, tmp_path):
    with open_slide(copy) as opened:
        grid = tile_grid(opened)
        level = opened.sampling(grid.mpp).level
    parts = segments(copy, level)
    offset, size = parts[len(parts) // 2]
    whole = copy.read_bytes()[offset : offset + size]
    out = tmp_path / "s.zarr"
    with open_slide(copy) as opened:
        # After opening, so that no check of the file turns to another reader.
        overwrite(copy, offset, bytes(size))
        store = embed_slide(opened, encoder, out, grid=grid)
    failed = store.failed
    assert 0 < len(failed) < len(grid)
    assert store.complete
    assert not store.done.all()
    rows = [tile.row for tile in failed]
    assert not store.done[rows].any()
    assert store.done.sum() == len(grid) - len(rows)
    assert np.isnan(store.features[rows]).all()
    assert [(tile.x, tile.y) for tile in failed] == [
        tuple(c) for c in grid.coords[rows].tolist()
    ]
    assert "damaged" in failed[0].reason
    assert open_store(out).failed == failed

    overwrite(copy, offset, whole)
    seen = []
    with open_slide(copy) as opened:
        embed_slide(
            opened, encoder, out, grid=grid, progress=lambda *now: seen.append(now)
        )
    assert seen[0] == (len(grid) - len(rows), len(grid))
    store = open_store(out)
    assert store.failed == ()
    assert store.done.all()
    wanted = embed_slide(slide, encoder, tmp_path / "w.zarr", grid=grid)
    np.testing.assert_allclose(store.features, wanted.features, atol=0.02)


def test_a_slide_that_goes_midway_is_one_line_and_resumed(copy, encoder, tmp_path):
    out, away = tmp_path / "s.zarr", tmp_path / "away.tif"
    with open_slide(copy) as opened:
        grid = tile_grid(opened)

        def take_away(done, _total):
            if done and not away.exists():
                shutil.copy(copy, away)
                with copy.open("r+b") as file:  # as a network drive that drops out
                    file.truncate(1000)

        with pytest.raises(SlideError, match=r"copy\.tif has gone or changed"):
            embed_slide(opened, encoder, out, grid=grid, progress=take_away)
    store = open_store(out)
    done = int(store.done.sum())
    assert 0 < done < len(grid)
    assert store.failed == ()
    os.replace(away, copy)
    with open_slide(copy) as opened:
        assert embed_slide(opened, encoder, out, grid=grid).done.all()


def test_nothing_readable_is_an_error(copy, encoder, tmp_path):
    with open_slide(copy) as opened:
        grid = tile_grid(opened)
        for offset, size in segments(copy, opened.sampling(grid.mpp).level):
            overwrite(copy, offset, bytes(size))
        with pytest.raises(SlideError, match="none of the"):
            embed_slide(opened, encoder, tmp_path / "s.zarr", grid=grid)
    assert not open_store(tmp_path / "s.zarr").done.any()


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "gone"),
        (errno.EFBIG, "cannot be written"),
    ],
)
def test_a_disk_that_refuses_is_one_line_and_resumed(
    slide, encoder, tmp_path, monkeypatch, code, says
):
    out, calls, real = tmp_path / "s.zarr", [], os.fsync

    def refuse(handle):
        calls.append(handle)
        if len(calls) > 25:
            raise OSError(code, os.strerror(code))
        real(handle)

    grid = tile_grid(slide)
    with monkeypatch.context() as patch:
        patch.setattr(_disk.os, "fsync", refuse)
        with pytest.raises(OutputError, match=says) as caught:
            embed_slide(slide, encoder, out, grid=grid)
    assert "\n" not in str(caught.value)
    assert "run again" in str(caught.value)
    before = int(open_store(out).done.sum())
    assert 0 < before < len(grid)
    seen = []
    store = embed_slide(
        slide, encoder, out, grid=grid, progress=lambda done, _: seen.append(done)
    )
    assert seen[0] == before
    assert store.done.all()


def test_a_store_that_vanishes_is_not_half_made_again(slide, encoder, tmp_path):
    out, away = tmp_path / "s.zarr", tmp_path / "away.zarr"
    grid = tile_grid(slide)

    def vanish(done, _total):
        if done and out.exists():
            out.rename(away)

    with pytest.raises(OutputError, match="gone"):
        embed_slide(slide, encoder, out, grid=grid, progress=vanish)
    assert not out.exists()
    assert 0 < open_store(away).done.sum() < len(grid)


def test_two_processes_cannot_fill_one_store(slide, encoder, tmp_path):
    out = tmp_path / "s.zarr"
    hold = (
        "import sys, pathlib; from napari_pathfm.embeddings._lock import filling\n"
        "with filling(pathlib.Path(sys.argv[1])):\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(out)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as child:
        assert child.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {child.pid} on"):
            embed_slide(slide, encoder, out)
        assert not out.exists()
        child.kill()  # its lock is stale now
    assert embed_slide(slide, encoder, out).complete


def test_a_run_waits_for_its_own_forerunner(slide, encoder, tmp_path):
    from napari_pathfm.embeddings._lock import filling

    out, held, go = tmp_path / "s.zarr", threading.Event(), threading.Event()

    def forerunner():
        with filling(out):
            held.set()
            go.wait(10)

    thread = threading.Thread(target=forerunner)
    thread.start()
    held.wait(10)
    threading.Timer(0.3, go.set).start()
    assert embed_slide(slide, encoder, out).complete
    thread.join()


def test_a_run_leaves_nothing_but_its_store(slide, encoder, tmp_path):
    embed_slide(slide, encoder, tmp_path / "s.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]


def test_what_a_killed_run_left_is_cleared(slide, encoder, tmp_path):
    store = embed_slide(slide, encoder, tmp_path / "s.zarr")
    store._group["done"][0] = False
    litter = [store.path / "zarr.ab.partial", store.path / "features/c/0/0.cd.partial"]
    half = tmp_path / ".s.zarr.0123abcd"
    half.mkdir()
    for file in litter:
        file.write_text("x")
    assert open_store(store.path).done.sum() == len(store.coords) - 1
    embed_slide(slide, encoder, store.path)
    assert not [path for path in (half, *litter) if path.exists()]


def test_a_run_killed_after_its_last_tile_is_cleared_too(slide, encoder, tmp_path):
    embed_slide(slide, encoder, tmp_path / "s.zarr")
    for name in (".s.zarr.lock", ".s.zarr.lock-holder"):
        (tmp_path / name).write_text("process 1 on nowhere")
    assert embed_slide(slide, encoder, tmp_path / "s.zarr").complete
    assert [p.name for p in tmp_path.iterdir()] == ["s.zarr"]
