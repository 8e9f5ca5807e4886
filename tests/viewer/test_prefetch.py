"""What is read ahead, and that it is there when it is looked at."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import tifffile
from napari.components import ViewerModel

from napari_pathfm.slides import _segments
from napari_pathfm.viewer.session import Chunk, Prefetch

SIDE = 6144  # six chunks of 1024 px


@pytest.fixture(scope="module")
def wide_path(tmp_path_factory):
    path = tmp_path_factory.mktemp("wide") / "wide.tif"
    rng = np.random.default_rng(0)
    small = rng.integers(60, 250, (SIDE // 64, SIDE // 64, 3), dtype=np.uint8)
    pixels = np.kron(small, np.ones((64, 64, 1), np.uint8))
    with tifffile.TiffWriter(path) as tif:
        for step in (1, 4):
            tif.write(
                pixels[::step, ::step],
                tile=(256, 256),
                photometric="rgb",
                compression="jpeg",
                subfiletype=int(step > 1),
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


@pytest.fixture
def viewer(wide_path, open_layer):
    made = ViewerModel()
    open_layer(made, wide_path)
    made.canvas.size = (800, 1000)
    return made


def look(viewer, row: float, column: float, zoom: float) -> None:
    """Put level-0 pixels in the middle, at so many canvas pixels each."""
    layer = viewer.layers[0]
    layer.data_level = 0  # without a canvas nobody draws, and nothing sets it
    viewer.scene.camera.zoom = zoom / layer.scale[0]
    viewer.scene.camera.center = (row * layer.scale[0], column * layer.scale[1])


def test_the_ring_comes_first_then_the_next_levels(viewer):
    layer = viewer.layers[0]
    prefetch = Prefetch(viewer, threaded=False)
    look(viewer, 2560, 2560, 1.0)
    wanted = prefetch.wanted(layer)
    # In view: rows 2160-2960 and columns 2060-3060, which is chunk (2, 2) alone.
    ring = {Chunk(0, i, j) for i in (1, 2, 3) for j in (1, 2, 3)} - {Chunk(0, 2, 2)}
    assert set(wanted[: len(ring)]) == ring
    assert {chunk.level for chunk in wanted[len(ring) :]} == {1}
    prefetch.close()


def test_nothing_beyond_the_slide_nor_of_what_is_in_memory(viewer):
    layer = viewer.layers[0]
    prefetch = Prefetch(viewer, threaded=False)
    look(viewer, 100, 100, 1.0)
    assert all(0 <= c.row < 6 and 0 <= c.column < 6 for c in prefetch.wanted(layer))
    look(viewer, -9000, -9000, 1.0)
    assert prefetch.wanted(layer) == []
    viewer.dims.ndisplay = 3
    assert prefetch.wanted(layer) == []
    prefetch.close()


def wait(prefetch: Prefetch) -> None:
    end = time.monotonic() + 30
    while not prefetch.idle and time.monotonic() < end:
        time.sleep(0.01)
    assert prefetch.idle


def test_a_pan_finds_its_tiles_decoded(viewer, monkeypatch):
    layer = viewer.layers[0]
    prefetch = Prefetch(viewer)
    look(viewer, 2560, 2560, 1.0)
    np.asarray(layer.data[0][2160:2960, 2060:3060])
    wait(prefetch)
    decoded = []
    decode = _segments.Segments.decode

    def spy(self, *where):
        decoded.append(where)
        return decode(self, *where)

    monkeypatch.setattr(_segments.Segments, "decode", spy)
    # Most of a screen to the right and down.
    pixels = np.asarray(layer.data[0][2860:3660, 2960:3960])
    assert pixels.shape == (800, 1000, 3)
    assert decoded == []
    prefetch.close()


def test_an_older_views_wishes_are_dropped_and_the_thread_ends(viewer):
    prefetch = Prefetch(viewer)
    for column in range(500, 5500, 100):
        look(viewer, 3000, column, 1.0)
    assert len(prefetch._todo) <= 40
    prefetch.close()
    prefetch.close()
    assert "slide-prefetch" not in {thread.name for thread in threading.enumerate()}
    look(viewer, 3000, 3000, 1.0)  # nobody listens


def test_the_window_reads_ahead_unless_switched_off(
    make_napari_viewer, models, tmp_path, monkeypatch
):
    from napari_pathfm.viewer.panel import ModelsPanel, _panel

    viewer = make_napari_viewer()
    panel = ModelsPanel(viewer, models=models, cache=tmp_path)
    assert panel.prefetch is not None
    panel.shut()
    monkeypatch.setattr(_panel, "switched_on", lambda group, key: False)
    panel = ModelsPanel(viewer, models=models, cache=tmp_path)
    assert panel.prefetch is None
    panel.shut()


def test_loading_in_the_background_is_napari_s_setting(window):
    from napari.settings import get_settings

    settings = get_settings().experimental
    assert not settings.async_
    window.panel.slide.background.click()
    assert settings.async_
    window.panel.slide.background.click()
    assert not settings.async_
