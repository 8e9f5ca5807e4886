"""The whole-slide run: right rows, resumable, never mixed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from napari_pathfm.embeddings import embed_slide, open_store
from napari_pathfm.errors import (
    Cancelled,
    MissingMppError,
    OutputError,
    SlideError,
    StoreError,
)
from napari_pathfm.slides import open_slide, tile_grid


def test_rows_are_the_tiles_encoded(slide, encoder, tmp_path):
    store = embed_slide(slide, encoder, tmp_path / "s.zarr")
    assert store.complete
    assert len(store.coords) == len(tile_grid(slide))
    for row in (0, len(store.coords) - 1):
        x, y = store.coords[row]
        tile = slide.read(x, y, 224, 224, mpp=0.5)
        wanted = encoder.encode(tile[None]).cls[0]
        np.testing.assert_allclose(store.features[row], wanted, atol=0.02)


def test_store_opens_again_with_its_provenance(slide, encoder, tmp_path):
    embed_slide(slide, encoder, tmp_path / "s.zarr", patches=True)
    store = open_store(tmp_path / "s.zarr")
    assert store.attrs["slide_fingerprint"] == slide.fingerprint
    assert store.attrs["weights_revision"] == encoder.revision
    assert store.patches.shape == (len(store.coords), 16, 16, 192)
    grid = tile_grid(slide)
    np.testing.assert_array_equal(store.grid.coords, grid.coords)
    assert store.grid.tile_size == grid.tile_size


def test_cancel_keeps_what_is_done_and_resume_does_the_rest(slide, encoder, tmp_path):
    grid = tile_grid(slide, stride=112)
    seen = []
    with pytest.raises(Cancelled, match=r"s\.zarr"):
        embed_slide(
            slide,
            encoder,
            tmp_path / "s.zarr",
            grid=grid,
            progress=lambda done, _: seen.append(done),
            cancelled=lambda: len(seen) > 1,
        )
    store = open_store(tmp_path / "s.zarr")
    done = int(store.done.sum())
    assert 0 < done < len(grid)
    assert not store.complete
    counts = []
    embed_slide(
        slide,
        encoder,
        tmp_path / "s.zarr",
        grid=grid,
        progress=lambda done, _: counts.append(done),
    )
    assert counts[0] == done
    assert counts[-1] == len(grid)
    whole = embed_slide(slide, encoder, tmp_path / "w.zarr", grid=grid)
    again = open_store(tmp_path / "s.zarr")
    np.testing.assert_allclose(
        again.features.astype(np.float32), whole.features.astype(np.float32), atol=0.01
    )


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_killed_run_leaves_a_store_that_tells_the_truth(slide, encoder, tmp_path):
    out = tmp_path / "k.zarr"
    code = f"""
        import napari_pathfm as p, time
        slide = p.open_slide({str(slide.path)!r})
        grid = p.tile_grid(slide, stride=56)
        def slow(done, total):
            print(done, flush=True)
            time.sleep(0.05)
        p.embed_slide(slide, p.load_encoder(device="cpu"), {str(out)!r}, grid=grid,
                      progress=slow)
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True
    )
    try:
        for line in child.stdout:
            if int(line) >= 64:
                break
        time.sleep(0.03)
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdout.close()
    store = open_store(out)
    done = store.done
    assert 64 <= done.sum() < len(done)
    # Every row marked done holds the true features; a row not marked holds no claim.
    rows = np.flatnonzero(done)[:: max(1, done.sum() // 5)]
    for row in rows:
        tile = slide.read(*store.coords[row], 224, 224, mpp=0.5)
        wanted = encoder.encode(tile[None]).cls[0]
        np.testing.assert_allclose(store.features[row], wanted, atol=0.02)


def test_tiles_near_a_point_come_first(slide, encoder, tmp_path):
    grid = tile_grid(slide, stride=56)
    far = grid.coords[-1] + 112
    calls = []
    with pytest.raises(Cancelled):
        embed_slide(
            slide,
            encoder,
            tmp_path / "s.zarr",
            grid=grid,
            near=(float(far[0]), float(far[1])),
            progress=lambda done, _: calls.append(done),
            cancelled=lambda: len(calls) > 1,
        )
    assert open_store(tmp_path / "s.zarr").done[grid.index_at(*map(float, far))]


def test_store_of_another_grid_is_refused_by_name(slide, encoder, tmp_path):
    embed_slide(slide, encoder, tmp_path / "s.zarr")
    with pytest.raises(StoreError, match="tile grid"):
        embed_slide(
            slide, encoder, tmp_path / "s.zarr", grid=tile_grid(slide, stride=112)
        )


def test_foreign_folders_are_refused(tmp_path):
    with pytest.raises(StoreError, match="does not exist"):
        open_store(tmp_path / "nothing.zarr")
    (tmp_path / "folder.zarr").mkdir()
    with pytest.raises(StoreError, match="no embedding store"):
        open_store(tmp_path / "folder.zarr")
    (tmp_path / "file.zarr").write_text("x")
    with pytest.raises(StoreError, match="no embedding store"):
        open_store(tmp_path / "file.zarr")


def test_damaged_store_is_one_line(slide, encoder, tmp_path):
    embed_slide(slide, encoder, tmp_path / "s.zarr")
    (tmp_path / "s.zarr" / "zarr.json").write_text("{")
    with pytest.raises(StoreError, match=r"s\.zarr"):
        open_store(tmp_path / "s.zarr")


def test_unwritable_output_is_one_line_and_leaves_nothing(slide, encoder, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="--out"):
        embed_slide(slide, encoder, tmp_path / "file" / "s.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_no_mpp_and_no_tissue_are_said(tcga_slide_path, slide, encoder, tmp_path):
    with (
        open_slide(tcga_slide_path) as blind,
        pytest.raises(MissingMppError, match="--mpp"),
    ):
        embed_slide(blind, encoder, tmp_path / "s.zarr")
    grid = tile_grid(slide)
    empty = type(grid)(
        **{**vars(grid), "coords": grid.coords[:0], "cells": grid.cells[:0]}
    )
    with pytest.raises(SlideError, match="no tissue"):
        embed_slide(slide, encoder, tmp_path / "s.zarr", grid=empty)
    assert not list(tmp_path.iterdir())
