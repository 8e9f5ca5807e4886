"""Batches that wait are written together, and none is lost or twice there."""

from __future__ import annotations

import time

import numpy as np
import pytest
from colours import Colours

from napari_pathfm.embeddings import _ahead, _run, embed_slide
from napari_pathfm.slides import tile_grid


@pytest.mark.parametrize("patches", [False, True])
def test_a_slow_disk_gets_many_batches_at_once(slide, tmp_path, monkeypatch, patches):
    monkeypatch.setattr(_run, "BATCH", 4)
    grid = tile_grid(slide)
    writes = []

    def slow(done, total):
        writes.append(done)
        time.sleep(0.2)

    out = tmp_path / "s.zarr"
    store = embed_slide(
        slide, Colours(), out, grid=grid, patches=patches, progress=slow
    )
    steps = np.diff(writes)
    assert store.done.all()
    assert writes[-1] == len(grid)
    assert max(steps) > 4
    assert max(steps) <= 4 * _ahead.AHEAD
    monkeypatch.setattr(_ahead, "AHEAD", 1)
    wanted = embed_slide(
        slide, Colours(), tmp_path / "w.zarr", grid=grid, patches=patches
    )
    np.testing.assert_array_equal(store.features, wanted.features)
    if patches:
        np.testing.assert_array_equal(store.patches[:], wanted.patches[:])
